package mqtttest

import (
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// laneMaximum is how many bytes wait in a lane before its source has to wait.
const laneMaximum = 1 << 20

// item is data or an event on its way to the other side.
type item struct {
	raw     []byte
	event   *Event // nil: nothing to record
	order   order
	due     time.Time
	hold    *hold // nil: it is not held back
	cut     bool  // the connection ends behind it
	partial bool  // raw is not all of the packet
	fin     bool  // the end of the source
	hard    bool  // the source ended with a fault
}

// lane carries one direction of a link. Its reader takes packets from the source and
// decides about them. Its writer passes them on when they are due. In between they
// wait in a queue, sorted by due time.
type lane struct {
	link      *link
	direction Direction
	src, dst  net.Conn
	framer    framer
	decoder   wire.Decoder
	broken    bool // used by the writer: the receiver has closed

	wake  chan struct{} // holds one signal: the writer has to check again
	space chan struct{} // holds one signal: the queue has shrunk

	mu    sync.Mutex // guards what follows
	queue []*item
	size  int
	cut   int // bytes that may still pass; negative: no limit
}

func newLane(l *link, d Direction, src, dst net.Conn) *lane {
	a := &lane{
		link: l, direction: d, src: src, dst: dst,
		framer: framer{src: src},
		wake:   make(chan struct{}, 1),
		space:  make(chan struct{}, 1),
		cut:    -1,
	}
	if d == Up {
		a.decoder.From = wire.FromClient
	}
	return a
}

// read runs until the source or the link ends.
func (a *lane) read() {
	for a.awaitRoom() {
		fr, err := a.framer.next(a.link.spoken())
		if err != nil {
			a.put(&item{fin: true, hard: err != io.EOF})
			break
		}
		a.handle(fr)
	}
	<-a.link.ctx.Done()
	if a.direction == Up {
		_, _ = io.Copy(io.Discard, a.src) // see link.end
	}
}

func (a *lane) awaitRoom() bool {
	for {
		a.mu.Lock()
		full := a.size > laneMaximum
		a.mu.Unlock()
		if !full {
			return !a.link.isOver()
		}
		select {
		case <-a.space:
		case <-a.link.ctx.Done():
			return false
		}
	}
}

// put queues an item behind all items that it must not overtake.
func (a *lane) put(it *item) {
	if it.due.IsZero() {
		it.due = time.Now()
	}
	a.mu.Lock()
	if it.hold != nil && it.hold.released.Load() {
		it.hold = nil
	}
	for _, earlier := range a.queue {
		// An item that the test holds back on purpose delays no other.
		if earlier.hold == nil && earlier.due.After(it.due) && !it.order.mayOvertake(earlier.order) {
			it.due = earlier.due
		}
	}
	at, _ := slices.BinarySearchFunc(a.queue, it.due, func(waiting *item, due time.Time) int {
		if waiting.due.After(due) {
			return 1
		}
		return -1 // items that are due at the same time go before it
	})
	a.queue = slices.Insert(a.queue, at, it)
	a.size += len(it.raw)
	a.mu.Unlock()
	signal(a.wake)
}

// release frees the items that h has held back. They go behind those that already
// wait.
func (a *lane) release(h *hold) {
	a.mu.Lock()
	var held []*item
	a.queue = slices.DeleteFunc(a.queue, func(it *item) bool {
		if it.hold != h {
			return false
		}
		it.hold = nil
		held = append(held, it)
		a.size -= len(it.raw)
		return true
	})
	a.mu.Unlock()
	for _, it := range held {
		it.due = time.Time{}
		a.put(it)
	}
}

// signal wakes the goroutine that waits on c, which holds one signal.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
