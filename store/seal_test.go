package store

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// The examples of https://c2sp.org/XAES-256-GCM.
func TestValuesAreSealedByXAES(t *testing.T) {
	for _, test := range []struct {
		key         byte
		about, text string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		s, err := newSealer(bytes.Repeat([]byte{test.key}, 32))
		require.NoError(t, err)
		nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
		text := s.aead(nonce).Seal(nil, nonce[12:], []byte("XAES-256-GCM"), []byte(test.about))
		require.Equal(t, test.text, hex.EncodeToString(text))
	}
}

func BenchmarkSeal(b *testing.B) {
	s, err := newSealer(make([]byte, 32))
	require.NoError(b, err)
	value := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		s.seal([]byte("queued/1"), value)
	}
}
