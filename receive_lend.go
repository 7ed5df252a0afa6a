package mqtt

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// lease is a read buffer whose payloads are lent to handlers, with the messages
// around them. All of it is used again when the last of them is done, so that a
// lent message costs no allocation and no copy.
type lease struct {
	lender   *lender
	buffer   wire.Buffer
	messages []Message
	weight   int64        // bytes that it keeps
	holders  atomic.Int32 // lent messages, and the reader while it lends
}

// lender makes the leases of one connection. Only the goroutine that reads takes from it.
type lender struct {
	out     atomic.Int64 // bytes that are lent
	current *lease       // of the buffer that is read; nil: none yet
	taken   int          // messages of it that holders does not count yet
	refused bool         // this read is copied
}

// leases holds those that are not in use.
var leases = sync.Pool{New: func() any { return new(lease) }}

// maxLent is how many bytes of read buffers, and of the messages around them, may be
// lent at a time. A single small message may keep a whole buffer; beyond, messages
// are copied.
const maxLent = 4 << 20

const messageSize = int64(unsafe.Sizeof(Message{}))

// borrow returns a message that is valid until its lease is released, or nil if
// the message has to be copied. left is how many of the read may still come.
func (l *lender) borrow(r *wire.Reader, in *session.Received, left int, a acknowledger) (*Message, *lease) {
	if l.current != nil && !r.Detached() {
		l.finishRead() // the reader has gone on to another buffer
	}
	if l.current == nil && !l.startLease(r, left) {
		return nil, nil
	}
	le := l.current
	if len(le.messages) == cap(le.messages) {
		// Those handed out stay where they are.
		le.messages = make([]Message, 0, 2*cap(le.messages))
		l.weigh(int64(cap(le.messages)) * messageSize)
	}
	le.messages = le.messages[:len(le.messages)+1]
	m := &le.messages[len(le.messages)-1]
	*m = Message{}
	m.fill(in, in.Publish.Payload, a)
	l.taken++
	return m, le
}

// startLease takes the buffer of this read from the reader.
func (l *lender) startLease(r *wire.Reader, messages int) bool {
	if l.refused || l.out.Load() >= maxLent {
		l.refused = true
		return false
	}
	buffer, ok := r.Detach()
	if !ok {
		l.refused = true
		return false
	}
	le := leases.Get().(*lease)
	le.lender = l
	if cap(le.messages) < messages {
		le.messages = make([]Message, 0, messages)
	}
	le.buffer = buffer
	le.holders.Store(1)
	l.current = le
	l.weigh(int64(buffer.Size()) + int64(cap(le.messages))*messageSize)
	return true
}

// weigh counts bytes that the current lease keeps.
func (l *lender) weigh(bytes int64) {
	l.current.weight += bytes
	l.out.Add(bytes)
}

// countBorrowed counts the messages that were borrowed, before anybody gets them.
func (l *lender) countBorrowed() {
	if l.taken > 0 {
		l.current.holders.Add(int32(l.taken))
		l.taken = 0
	}
}

// endLending ends what is lent of a read, unless more of it may be: what has arrived of the
// next packet may be the beginning of a whole one.
func (d *receiver) endLending() {
	if l := &d.lender; l.current == nil || len(d.reader.Buffered()) == 0 {
		l.finishRead()
	}
}

// finishRead says that the reader lends nothing more of what it has read last.
func (l *lender) finishRead() {
	l.current.release(1) // nil if nothing was lent
	l.current, l.refused = nil, false
}

// release ends the use of n messages. A nil lease is that of messages which
// nobody has lent.
func (le *lease) release(n int) {
	if le == nil || le.holders.Add(int32(-n)) > 0 {
		return
	}
	l := le.lender
	l.out.Add(-le.weight)
	le.buffer.Release()
	le.lender, le.buffer, le.messages, le.weight = nil, wire.Buffer{}, le.messages[:0], 0
	leases.Put(le)
}
