package durable

import "github.com/seed65a45251/mqtt/store"

// A full Store must be emptied, and to send a message something has to be written first:
// its packet identifier. So a few records hold space for such changes: enough for the
// identifiers of 1,024 messages in flight. They are given up when a Commit finds no space,
// and made again when there is some.
const (
	spareRecords = 40
	spareSize    = 3 << 10
)

// spare is which of these records are in the Store.
type spare struct{ held int }

func spareKey(n int) []byte { return append([]byte(keySpare), byte(n)) }

// give returns the operations that give the records up.
func (s *spare) give() (ops []store.Op) {
	for n := s.held; n > 0; n-- {
		ops = append(ops, remove(spareKey(n-1)))
	}
	return ops
}

// gaveUp notes that n records were given up.
func (s *spare) gaveUp(n int) { s.held -= n }

// missing returns the operations that make one record again; nil: none is missing.
func (s *spare) missing() []store.Op {
	if s.held >= spareRecords {
		return nil
	}
	return []store.Op{put(spareKey(s.held), make([]byte, spareSize))}
}

// all returns the operations that make all records.
func (s *spare) all() (ops []store.Op) {
	for n := s.held; n < spareRecords; n++ {
		ops = append(ops, put(spareKey(n), make([]byte, spareSize)))
	}
	return ops
}
