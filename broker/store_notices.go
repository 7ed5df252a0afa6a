package broker

import (
	"sync"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
)

// notices are events that had to wait for the store. They are told on a goroutine of
// their own, because observers may block and may call methods that wait for the store.
// The memory of a task is freed when its events have been told.
type notices struct {
	wake  chan struct{} // holds one signal
	over  chan struct{} // closed when no further events follow
	ended chan struct{} // closed when the goroutine is done

	mu    sync.Mutex
	queue []notice
}

type notice struct {
	events []Event
	task   *journal.Task
}

func newNotices() notices {
	return notices{wake: make(chan struct{}, 1), over: make(chan struct{}), ended: make(chan struct{})}
}

// tell queues the events that follow t.
func (p *persistence) tell(t *journal.Task, events ...Event) {
	if len(events) == 0 || !p.hooks.observed() {
		return
	}
	t.Held = true
	s := &p.notices
	s.mu.Lock()
	s.queue = append(s.queue, notice{events, t})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// announce tells the observers of events until over is closed, and then of the
// remaining ones.
func (p *persistence) announce() {
	s := &p.notices
	defer close(s.ended)
	for over := false; !over; {
		select {
		case <-s.wake:
		case <-s.over:
			over = true
		}
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for _, n := range queue {
			for _, e := range n.events {
				p.hooks.observe(e)
			}
			p.Free(n.task)
		}
	}
}
