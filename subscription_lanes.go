package mqtt

import (
	"sync"
	"time"
)

// lanes hand messages to several workers at once so that those with the same key
// are still handled one after the other, in their order. A key has a lane as long
// as it has messages; a worker takes one message of a lane and then serves other
// lanes.
type lanes struct {
	ready chan *lane    // lanes with a message and no worker; has space for all
	slots chan struct{} // a token for every message that is taken and not done

	mu    sync.Mutex
	byKey map[laneKey]*lane
	spare []*lane // empty
	idle  int     // messages for which those have space
}

// laneKey is what the messages of a lane have in common. Without an order each message
// has one of its own.
type laneKey struct {
	key    string
	number uint64 // of the message; 0: there is an order
}

type lane struct {
	key   laneKey
	items []item
	head  int // items[:head] are done

	attempts *attempts   // at the first message, where one has failed; its worker's
	timer    *time.Timer // until the next attempt; nil: there was none. Guarded by lanes.mu
}

// newLanes returns lanes for so many messages at a time.
func newLanes(most int) *lanes {
	return &lanes{
		ready: make(chan *lane, most),
		slots: make(chan struct{}, most),
		byKey: make(map[laneKey]*lane),
	}
}

func (l *lanes) add(key laneKey, m item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if busy := l.byKey[key]; busy != nil {
		busy.add(m)
		return
	}
	fresh := new(lane)
	if n := len(l.spare); n > 0 {
		fresh, l.spare = l.spare[n-1], l.spare[:n-1]
		l.idle -= cap(fresh.items)
	}
	fresh.key = key
	fresh.add(m)
	l.byKey[key] = fresh
	l.ready <- fresh // has space for it
}

func (n *lane) add(m item) {
	if n.head > 0 && len(n.items) == cap(n.items) {
		kept := copy(n.items, n.items[n.head:])
		clear(n.items[kept:])
		n.items, n.head = n.items[:kept], 0
	}
	n.items = append(n.items, m)
}

func (l *lanes) first(n *lane) item {
	l.mu.Lock()
	defer l.mu.Unlock()
	return n.items[n.head]
}

// later makes n ready after a time.
func (l *lanes) later(n *lane, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.timer = time.AfterFunc(d, func() { l.ready <- n }) // has space for it
}

// done takes the first message out of n, whose worker is done with it.
func (l *lanes) done(n *lane) {
	l.mu.Lock()
	n.items[n.head] = item{}
	n.head++
	if n.head == len(n.items) {
		delete(l.byKey, n.key)
		n.key, n.items, n.head = laneKey{}, n.items[:0], 0
		if idle := l.idle + cap(n.items); idle <= 2*cap(l.slots) {
			l.spare, l.idle = append(l.spare, n), idle
		}
	} else {
		l.ready <- n // has space for it
	}
	l.mu.Unlock()
	<-l.slots
}

// left returns what is not done when no worker is left.
func (l *lanes) left() (items []item) {
	for _, n := range l.byKey {
		if n.timer != nil {
			n.timer.Stop()
		}
		items = append(items, n.items[n.head:]...)
	}
	return items
}
