package bench

import (
	"encoding/binary"
	"time"
)

// stamp is the beginning of every payload.
type stamp struct {
	run      uint32 // tells this run from others on the same topics
	stream   uint32
	sequence uint64 // within the stream, from zero
	due      time.Duration
	measured bool // it was due after the warm-up
}

// stampSize is the size of an encoded stamp and so the smallest payload.
const stampSize = 24

// measuredBit is in the time: no run takes 146 years.
const measuredBit = 1 << 62

func (s *stamp) put(b []byte) {
	binary.BigEndian.PutUint32(b, s.run)
	binary.BigEndian.PutUint32(b[4:], s.stream)
	binary.BigEndian.PutUint64(b[8:], s.sequence)
	due := uint64(s.due)
	if s.measured {
		due |= measuredBit
	}
	binary.BigEndian.PutUint64(b[16:], due)
}

// readStamp returns false for a payload that has none.
func readStamp(b []byte) (s stamp, ok bool) {
	if len(b) < stampSize {
		return stamp{}, false
	}
	due := binary.BigEndian.Uint64(b[16:])
	return stamp{
		run:      binary.BigEndian.Uint32(b),
		stream:   binary.BigEndian.Uint32(b[4:]),
		sequence: binary.BigEndian.Uint64(b[8:]),
		due:      time.Duration(due &^ measuredBit),
		measured: due&measuredBit != 0,
	}, true
}
