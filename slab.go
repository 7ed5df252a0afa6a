package mqtt

import "bytes"

// slab is memory for small payloads of a busy connection, so that not each of
// them is an allocation. Whoever keeps one payload keeps the whole slab, which
// is therefore small and not used where messages are few.
type slab struct {
	free []byte
	size int // of the next one; 0: not in use
}

const (
	busyRead   = 16 // messages of one read from which on a connection is busy
	minSlab    = 1 << 10
	maxSlab    = 8 << 10
	maxSlabbed = 512 // the largest payload that shares a slab
)

// begin prepares for the payloads of one read.
func (s *slab) begin(messages int) {
	if messages < busyRead {
		*s = slab{}
		return
	}
	s.size = min(max(2*s.size, minSlab), maxSlab)
}

// clone returns a copy of b that can not grow into its neighbour.
func (s *slab) clone(b []byte) []byte {
	n := len(b)
	if s.size == 0 || n > maxSlabbed {
		return bytes.Clone(b)
	}
	if n > len(s.free) {
		s.free = make([]byte, s.size)
	}
	c := s.free[:n:n]
	s.free = s.free[n:]
	copy(c, b)
	return c
}
