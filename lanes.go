package mqtt

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// lanes hand messages to several workers at once so that those with the same key
// are still handled one after the other, in their order. A key has a lane as long
// as it has messages; a worker takes one message of a lane and then lets other
// lanes have their turn.
type lanes struct {
	ready chan *lane    // lanes with a message and no worker; has room for all
	room  chan struct{} // a token forevery message that is taken and not done

	mu    sync.Mutex
	byKey map[string]*lane
	spare []*lane // empty
	idle  int     // messages for which those have room
}

type lane struct {
	key   string
	items []item
	head  int // items[:head] are done
}

// lanesAhead is how many messages a handler takes out of the queue for each
// worker, in search of keys that are not busy.
const lanesAhead = 16

// runLanes is run with several workers.
func (h *handler) runLanes(ctx context.Context) error {
	o := &h.sub.options
	room := lanesAhead * o.Concurrency
	l := &lanes{
		ready: make(chan *lane, room),
		room:  make(chan struct{}, room),
		byKey: make(map[string]*lane),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.fill(ctx, l) })
	for range o.Concurrency {
		g.Go(func() error { return h.work(ctx, l) })
	}
	err := g.Wait()
	h.unfinished = l.left()
	return err
}

// fill puts messages into their lanes.
func (h *handler) fill(ctx context.Context, l *lanes) error {
	key := h.sub.options.OrderBy
	if key == nil {
		key = func(m *Message) string { return m.Topic }
	}
	var next [1]item
	for {
		select {
		case l.room <- struct{}{}:
		case <-h.sub.queue.cut: // nobody is to wait for the end until there is room
			return h.sub.queue.err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if _, err := h.sub.take(ctx, &h.hold, 0, next[:]); err != nil {
			return err
		}
		l.add(key(next[0].Message), next[0])
	}
}

// work handles messages until ctx ends or one fails.
func (h *handler) work(ctx context.Context, l *lanes) error {
	for {
		select {
		case lane := <-l.ready:
			if err := h.over(ctx); err != nil {
				return err
			}
			// It stays in its lane until it is done, where left finds it.
			m := l.first(lane)
			if err := h.handle(ctx, m.Message); err != nil {
				return err
			}
			m.lease.release(1)
			l.done(lane)
			h.sub.queue.settled(&h.hold, 1)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *lanes) add(key string, m item) {
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
	l.ready <- fresh // has room for it
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

// done takes the first message out of n, whose worker is done with it.
func (l *lanes) done(n *lane) {
	l.mu.Lock()
	n.items[n.head] = item{}
	n.head++
	if n.head == len(n.items) {
		delete(l.byKey, n.key)
		n.key, n.items, n.head = "", n.items[:0], 0
		if idle := l.idle + cap(n.items); idle <= 2*cap(l.room) {
			l.spare, l.idle = append(l.spare, n), idle
		}
	} else {
		l.ready <- n // has room for it
	}
	l.mu.Unlock()
	<-l.room
}

// left returns what is not done when no worker is left.
func (l *lanes) left() (items []item) {
	for _, n := range l.byKey {
		items = append(items, n.items[n.head:]...)
	}
	return items
}
