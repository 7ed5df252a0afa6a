package broker

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/broker/internal/records"
)

// storedMessage is a message in the store, which the queues of all sessions share.
type storedMessage struct {
	number uint64
	copies atomic.Int32
}

// slot is the place of an entry in the queue as the store has it.
type slot struct {
	stored   *storedMessage
	session  uint64 // number of the client
	number   uint64 // in the queue
	released uint64 // orders the PUBRECs; 0: none has come
	moved    bool   // goes to another session together with its record
	ids      []uint32
}

func (s *slot) key() []byte {
	return records.QueuedKey(s.stored.number, s.session, s.number)
}

// remove removes the record of a place.
func (p *persistence) remove(s *slot) {
	p.Later(records.Deletion(s.key()))
	p.removed(s)
}

// removed is called when the record is being removed. With the last one goes that of the
// message, which must not go before any of them.
func (p *persistence) removed(s *slot) {
	if s.stored.copies.Add(-1) == 0 {
		p.Later(records.Deletion(records.MessageKey(s.stored.number)))
	}
}
