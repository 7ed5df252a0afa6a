package broker

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/broker/internal/records"
)

// storedMessage is a stored message. The queues of all sessions share it.
type storedMessage struct {
	number uint64
	copies atomic.Int32
}

// slot is the stored place of an entry in a queue.
type slot struct {
	stored   *storedMessage
	session  uint64 // number of the client
	number   uint64 // place in the queue
	released uint64 // orders the PUBRECs; 0: none has come
	moved    bool   // another session takes over the message and removes the record
	ids      []uint32
}

func (s *slot) key() []byte {
	return records.QueuedKey(s.stored.number, s.session, s.number)
}

// remove removes the record of a place from the store.
func (p *persistence) remove(s *slot) {
	p.Later(records.Deletion(s.key()))
	p.removed(s)
}

// removed is called when the record of a place is being removed. After the last place it
// also removes the message, which must not go before any of them.
func (p *persistence) removed(s *slot) {
	if s.stored.copies.Add(-1) == 0 {
		p.Later(records.Deletion(records.MessageKey(s.stored.number)))
	}
}
