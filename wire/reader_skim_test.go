package wire

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestSkimKeepsTheBeginningOnly(t *testing.T) {
	small := &Publish{Topic: "small", Payload: []byte("x")}
	for _, size := range []int{1000, 100_000, 3_000_000} {
		for _, topic := range []string{"t", string(bytes.Repeat([]byte("t"), 60_000))} {
			for qos := AtMostOnce; qos <= ExactlyOnce; qos++ {
				t.Run(fmt.Sprint(size, len(topic), qos), func(t *testing.T) {
					p := &Publish{Topic: topic, Payload: make([]byte, size), QoS: qos}
					if qos > 0 {
						p.PacketID = 7
					}
					b, err := p.Append(nil, V311)
					require.NoError(t, err)
					whole := len(b)
					b, err = small.Append(b, V311)
					require.NoError(t, err)
					for _, source := range []io.Reader{bytes.NewReader(b), iotest.HalfReader(bytes.NewReader(b))} {
						r := NewReader(source, V311, 500)
						require.ErrorIs(t, r.Fill(), PacketTooLarge)
						h, head, err := r.Skim()
						require.NoError(t, err)
						require.Equal(t, whole, h.Size)
						want := 2 + len(topic)
						if qos > 0 {
							want += 2
							require.Equal(t, []byte{0, 7}, head[len(head)-2:])
						}
						require.Equal(t, want, len(head))
						require.True(t, topic == string(head[2:2+len(topic)]))
						h, body, err := r.ReadPacket()
						require.NoError(t, err)
						require.Equal(t, TypePublish, h.Type)
						require.Equal(t, "x", string(body[len(body)-1:]))
						require.Equal(t, io.EOF, r.Fill())
					}
				})
			}
		}
	}
}

func TestSkimOfAPacketThatIsCut(t *testing.T) {
	b, err := (&Publish{Topic: "t", Payload: make([]byte, 2000), QoS: 1, PacketID: 1}).Append(nil, V5)
	require.NoError(t, err)
	for _, n := range []int{3, 5, 9, 100, len(b) - 1} {
		r := NewReader(bytes.NewReader(b[:n]), V5, 500)
		_, _, err := r.Skim()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, n)
	}
}

func TestSkimOfAnythingElseKeepsNothing(t *testing.T) {
	r := NewReader(bytes.NewReader([]byte{0x90, 3, 0, 1, 0, 0x32, 1, 0}), V311, 4)
	h, head, err := r.Skim()
	require.NoError(t, err)
	require.Equal(t, TypeSuback, h.Type)
	require.Empty(t, head)
	h, head, err = r.Skim()
	require.NoError(t, err)
	require.Equal(t, TypePublish, h.Type)
	require.Equal(t, []byte{0}, head, "too short for a topic")
}
