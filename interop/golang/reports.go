package main

import (
	"sync"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// reports passes on what the library tells by itself.
type reports struct {
	events chan<- conformance.Event

	mu   sync.Mutex // guards what follows
	life *life      // of the connection that counts
}

// life is one connection, or with a library that reconnects all that it makes.
type life struct {
	gone      chan struct{} // closed when the connection is lost for good
	err       error         // why, once gone is closed
	answered  bool          // the command connect: what follows are events
	connected bool
}

// begin starts a life. What the ones before report is dropped.
func (r *reports) begin() *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life = &life{gone: make(chan struct{})}
	return r.life
}

// end drops what is reported from now on.
func (r *reports) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life = nil
}

// report passes an event of that life on. Nothing comes after end.
func (r *reports) report(l *life, e conformance.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life == l {
		r.events <- e
	}
}

// up notes a connection. All but the first are events.
func (r *reports) up(l *life, present bool) {
	r.mu.Lock()
	again := l.answered
	l.answered, l.connected = true, true
	r.mu.Unlock()
	if again {
		r.report(l, conformance.Event{Event: "connected", Present: present})
	}
}

// down reports that the connection is lost. final says that the library makes no
// other.
func (r *reports) down(l *life, code int, err error, final bool) {
	if err == nil {
		err = errNotConnected
	}
	r.mu.Lock()
	was := l.connected
	l.connected = false
	if final && l.err == nil {
		l.err = err
		close(l.gone)
	}
	r.mu.Unlock()
	if was {
		r.report(l, conformance.Event{Event: "disconnected", Code: code, Error: err.Error()})
	}
}
