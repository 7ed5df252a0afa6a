package conformance

import "sync"

// mailbox passes values on in order and never makes the sender wait.
type mailbox[T any] struct {
	out chan T

	mu     sync.Mutex // guards what follows
	more   *sync.Cond
	queue  []T
	closed bool
	gone   chan struct{} // closed with the mailbox: nobody waits for what is left
	stale  chan struct{} // closed by drop: what was put before is to be dropped
}

func newMailbox[T any]() *mailbox[T] {
	m := &mailbox[T]{out: make(chan T), gone: make(chan struct{}), stale: make(chan struct{})}
	m.more = sync.NewCond(&m.mu)
	go m.run()
	return m
}

// run ends when close was called and either everything was taken or nobody takes it.
func (m *mailbox[T]) run() {
	defer close(m.out)
	for {
		m.mu.Lock()
		for len(m.queue) == 0 && !m.closed {
			m.more.Wait()
		}
		if len(m.queue) == 0 {
			m.mu.Unlock()
			return
		}
		v, stale := m.queue[0], m.stale
		m.queue = m.queue[1:]
		m.mu.Unlock()
		select {
		case m.out <- v:
		case <-stale:
		case <-m.gone:
			return
		}
	}
}

func (m *mailbox[T]) put(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.queue = append(m.queue, v)
		m.more.Signal()
	}
}

// drop forgets what was put and not taken.
func (m *mailbox[T]) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = nil
	close(m.stale)
	m.stale = make(chan struct{})
}

func (m *mailbox[T]) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.gone)
		m.more.Signal()
	}
}
