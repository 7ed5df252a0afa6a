package mqtt

import (
	"context"
	"slices"
	"sync"
	"time"
)

// SessionState is what became of the session with a new connection.
type SessionState uint8

// What can become of a session.
const (
	SessionNew     SessionState = iota // the first connection, and the server had none
	SessionResumed                     // the server had one; see Event.Unproven
	SessionLost                        // the server no longer had it, as always before 5.0 without Config.Resume
)

// Event is a change that Watch reports.
type Event struct {
	Time  time.Time
	State State
	// Err is why the connection or the client ended, why a Subscription could not be
	// renewed, or what happens to messages. ErrQueueFull says that a Subscription has
	// no space, ErrStalled that a message has been held long, ErrUnclaimed that
	// messages of an earlier session were dropped.
	Err error
	// Attempt counts the attempts since the connection was lost, from 1. Delay is how
	// long the client waits before the attempt. Both are set with Connecting and
	// Reconnecting.
	Attempt int
	Delay   time.Duration
	// Server is the address of the server that is tried. It is set with Connecting.
	Server string
	// Session says what became of the session. It is set with Connected.
	Session SessionState
	// Unproven says that the server's session may differ from that of the last
	// connection: it may be older, from before a connection to another server, or an
	// empty one, begun for a CONNECT whose answer got lost. The client subscribes again
	// and publishes again what was not acknowledged, so messages may arrive twice. It
	// is set with SessionResumed.
	Unproven bool
	// Subscription is the one that Err is about. If nil, Err is about none.
	Subscription *Subscription
	// Age is how long the oldest message has been held. It is set with ErrStalled.
	Age time.Duration
}

// watcher is one call of Watch.
type watcher struct {
	ch      chan Event
	unwatch func() bool // forgets its context
}

// send never waits: it drops the oldest event to make space.
func (w *watcher) send(e Event) {
	for {
		select {
		case w.ch <- e:
			return
		default:
		}
		select {
		case <-w.ch:
		default:
		}
	}
}

// watchers are the calls of Watch. The lock is a leaf. It guards sends, which never wait,
// against closing.
type watchers struct {
	relay func(Event) // if set, gets all events too

	mu     sync.Mutex
	all    []*watcher
	closed bool
}

// add adds w until ctx ends, which may be at once: remove waits for the lock, so it
// finds w.
func (ws *watchers) add(ctx context.Context, w *watcher) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return false
	}
	ws.all = append(ws.all, w)
	w.unwatch = context.AfterFunc(ctx, func() { ws.remove(w) })
	return true
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if i := slices.Index(ws.all, w); i >= 0 {
		ws.all = slices.Delete(ws.all, i, i+1)
		close(w.ch)
	}
}

func (ws *watchers) send(e Event) {
	ws.pass(e)
	ws.tell(e)
}

// pass hands e on to the client whose Subscription this one serves, if it serves one.
func (ws *watchers) pass(e Event) {
	if ws.relay != nil {
		e.Time = time.Now()
		ws.relay(e)
	}
}

// tell sends e to the calls of Watch. A change of the state is told with engine.mu held:
// who has seen a state and then calls Watch does not get it again.
func (ws *watchers) tell(e Event) {
	e.Time = time.Now()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.all {
		w.send(e)
	}
}

// close reports the last event and closes all channels.
func (ws *watchers) close(last Event) {
	ws.send(last)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
	for _, w := range ws.all {
		w.unwatch()
		close(w.ch)
	}
	ws.all = nil
}

// State is what the client is doing.
type State uint8

// The states of a client.
const (
	Connecting   State = iota // an attempt is under way
	Connected                 // the server has accepted the connection
	Reconnecting              // waiting before the next attempt
	Closed                    // ended for good
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Reconnecting:
		return "reconnecting"
	}
	return "closed"
}

// status is what is known of a client. Guarded by engine.mu.
type status struct {
	state State
	last  *ServerInfo // of the connection before, while there is none; nil: there was none
	// failed is why the last connection or round of attempts failed; nil: there is a
	// connection, or none has failed yet.
	failed error
}
