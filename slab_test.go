package mqtt

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSlabKeepsPayloadsApart(t *testing.T) {
	var s slab
	s.begin(busyRead)
	lent := bytes.Repeat([]byte("x"), 100)
	a, b := s.clone(lent), s.clone(lent)
	lent[0] = 'L' // the reader uses its buffer again
	a = append(a, "more"...)
	require.Equal(t, bytes.Repeat([]byte("x"), 100), b)
	require.Equal(t, "more", string(a[100:]))
}

func TestSlabIsSmallAndOnlyForBusyConnections(t *testing.T) {
	var s slab
	s.begin(busyRead - 1)
	s.clone([]byte("payload"))
	require.Empty(t, s.free)
	for range 10 {
		s.begin(busyRead)
		s.clone([]byte("payload"))
		require.LessOrEqual(t, len(s.free), maxSlab)
	}
	require.NotEmpty(t, s.free)
	left := len(s.free)
	s.clone(make([]byte, maxSlabbed+1))
	require.Len(t, s.free, left, "a large payload has memory of its own")
	s.begin(1)
	require.Empty(t, s.free, "an idle connection holds none")
}
