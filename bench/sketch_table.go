package main

import (
	"io"
	"sync/atomic"
)

// sketchHandle is a message, or a SUBSCRIBE, that waits for its acknowledgement. One
// goroutine may wait for it.
type sketchHandle struct {
	state atomic.Int32
	done  chan struct{} // made by who waits
}

const (
	sketchPending int32 = iota
	sketchAwaited
	sketchAcknowledged
	sketchAbandoned // the connection ended before
)

// end makes state final and wakes who waits.
func (h *sketchHandle) end(state int32) {
	if h.state.Swap(state) == sketchAwaited {
		close(h.done)
	}
}

func (h *sketchHandle) wait() error {
	if h.state.Load() == sketchPending {
		h.done = make(chan struct{})
		if h.state.CompareAndSwap(sketchPending, sketchAwaited) {
			<-h.done
		}
	}
	if h.state.Load() == sketchAbandoned {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// sketchTable has what is unacknowledged, by packet identifier. It doubles on demand.
type sketchTable struct {
	places []*sketchHandle
	last   int // identifier that was given last
	used   int
}

// add gives h a free packet identifier.
func (t *sketchTable) add(h *sketchHandle) uint16 {
	if t.used+1 >= len(t.places) { // there is no identifier 0
		t.places = append(t.places, make([]*sketchHandle, max(16, len(t.places)))...)
	}
	for {
		if t.last++; t.last >= len(t.places) {
			t.last = 1
		}
		if t.places[t.last] == nil {
			break
		}
	}
	t.places[t.last] = h
	t.used++
	return uint16(t.last)
}

// complete ends what has the identifier, if there is any.
func (t *sketchTable) complete(id uint16) {
	if int(id) >= len(t.places) || t.places[id] == nil {
		return
	}
	t.places[id].end(sketchAcknowledged)
	t.places[id] = nil
	t.used--
}

// abandon ends all as the connection does.
func (t *sketchTable) abandon() {
	for _, h := range t.places {
		if h != nil {
			h.end(sketchAbandoned)
		}
	}
}
