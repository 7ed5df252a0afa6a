package wire

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDuplicateAtQoS0 is [MQTT-3.3.1-2], which 3.1 does not have.
func TestDuplicateAtQoS0(t *testing.T) {
	for _, v := range []Version{V31, V311, V5} {
		body := []byte("\x00\x01tx")
		if v == V5 {
			body = []byte("\x00\x01t\x00x")
		}
		for _, from := range []Sender{FromClient, FromServer} {
			t.Run(fmt.Sprint(v, from), func(t *testing.T) {
				told := 0
				d := Decoder{Version: v, From: from, Tolerate: func(*Error) { told++ }}
				p, err := d.Decode(Header{Type: TypePublish, Flags: 8, Size: 2 + len(body)}, body)
				switch {
				case v == V31:
					require.NoError(t, err)
					require.Zero(t, told)
				case from == FromClient:
					require.ErrorIs(t, err, ProtocolError)
					return
				default:
					require.NoError(t, err)
					require.Equal(t, 1, told)
				}
				require.Equal(t, &Publish{Topic: "t", Payload: []byte("x")}, p)
			})
		}
	}
}
