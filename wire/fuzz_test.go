package wire

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzDecode(f *testing.F) {
	for _, v := range vectors().Vectors {
		if v.Fill == nil {
			f.Add(byte(v.version(f)), v.from() == FromClient, v.bytes(f))
		}
	}
	f.Fuzz(func(t *testing.T, version byte, fromClient bool, b []byte) {
		from := FromServer
		if fromClient {
			from = FromClient
		}
		checkRoundTrip(t, b, Version(version%3)+V31, from)
	})
}

func FuzzReader(f *testing.F) {
	for _, v := range []Version{V31, V311, V5} {
		b, _ := stream(f, v)
		for piece := range slices.Chunk(b[:min(len(b), 1000)], 50) {
			f.Add(byte(v), piece, uint16(3))
		}
	}
	f.Fuzz(func(t *testing.T, version byte, b []byte, piece uint16) {
		v := Version(version%3) + V31
		whole, parts := NewReader(bytes.NewReader(b), v, 1<<16), NewReader(&pieces{b: b, sizes: []int{int(piece) + 1}}, v, 1<<16)
		for {
			h1, body1, err1 := whole.ReadPacket()
			h2, body2, err2 := parts.ReadPacket()
			require.Equal(t, err1, err2)
			require.Equal(t, h1, h2)
			require.Equal(t, body1, body2)
			if err1 != nil {
				if err1 != io.EOF && err1 != io.ErrUnexpectedEOF {
					refusal(t, err1)
				}
				return
			}
		}
	})
}
