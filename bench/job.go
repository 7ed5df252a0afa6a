package main

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"
)

// job is what a client process has to do.
type job struct {
	scenario
	addr        string // host:port of the server
	certificate string // file that proves the server, for TLS
	clientID    string
	dir         string // for what is stored; empty: nothing is
	duration    time.Duration
	warmup      time.Duration
	payload     []byte
	measured    func() error // called when the warm-up is over
}

// client is a connected client under measurement. What it can do beyond is said
// by the interfaces below; the entry in the list of clients says in which
// scenarios it takes part.
type client interface {
	// publish returns when the exchange is over; at QoS 0 when the library has
	// accepted the message. It is safe for concurrent use.
	publish(qos byte) error
}

// asyncPublisher publishes with at most window messages in flight.
type asyncPublisher interface {
	publishAsync(qos byte) error
	// flush waits until all is acknowledged. extra is how many messages it had
	// to publish for that.
	flush() (extra uint64, err error)
}

// tracker is an asynchronous publisher that says when each message was
// acknowledged. A slot holds one message, from submit to the end of await.
type tracker interface {
	submit(slot int) error
	await(slot int) error
}

// pumper is a hand-written loop: it publishes until stop, waits until all is
// acknowledged and returns how many messages that were.
type pumper interface {
	pump(stop *atomic.Bool) (messages uint64, err error)
}

// subscriber subscribes to filters, each with a handler or consumer of its own
// where the library has those, and counts what it gets in t.
type subscriber interface {
	subscribe(filters []string, qos byte, t *tally) error
}

// role is how a client is counted in ratios.
type role string

const (
	limit role = "limit"
	ours  role = "ours"
	peer  role = "peer"
	// sketch is a core of the same design without the rest of a library: neither a limit
	// nor something that a user could have. See sketchClient.
	sketch role = "sketch"
	// unrouted is a peer with many filters that leaves routing to its user. It is
	// shown and not compared with.
	unrouted role = "unrouted"
	// unstored is a peer without its store, beside those that have theirs. It is shown and
	// not compared with.
	unstored role = "unstored"
)

// entry is one line of the list of clients.
type entry struct {
	name  string
	role  role
	kinds []kind
	// only restricts the scenarios further. Nil: all of kinds.
	only func(*scenario) bool
	open func(*job) (client, error)
	// stores says that the client keeps messages in files: it gets a directory.
	stores bool
	// external is how to run a client that is not written in Go. Nil: it is.
	external *external
}

func (e *entry) takesPart(s *scenario) bool {
	return slices.Contains(e.kinds, s.kind) && (e.only == nil || e.only(s))
}

// tally counts received messages. With a cycle it checks the numbers of the
// firehose; then message may be called by one goroutine only.
type tally struct {
	n     atomic.Uint64
	gaps  atomic.Uint64
	next  uint32
	cycle uint32 // 0: unchecked
}

func (t *tally) message(payload []byte) {
	if t.cycle > 0 {
		t.check(payload)
	}
	t.n.Add(1)
}

func (t *tally) check(payload []byte) {
	n := binary.BigEndian.Uint32(payload)
	if n != t.next {
		t.gaps.Add(1)
	}
	if t.next = n + 1; t.next == t.cycle {
		t.next = 0
	}
}

// ring keeps what is in flight of a library that has futures but no window: a
// place is used again when its future is done. It takes no memory before that,
// which counts where clients are idle.
type ring[F any] struct {
	places []place[F]
	at     int
	wait   func(F) error
}

type place[F any] struct {
	future F
	used   bool
}

// put fills a place.
func (r *ring[F]) put(slot int, f F) {
	if r.places == nil {
		r.places = make([]place[F], window)
	}
	r.places[slot] = place[F]{f, true}
}

// await empties a place when its future is done.
func (r *ring[F]) await(slot int) error {
	if r.places == nil || !r.places[slot].used {
		return nil
	}
	r.places[slot].used = false
	return r.wait(r.places[slot].future)
}

// make makes room for another future.
func (r *ring[F]) make() error { return r.await(r.at) }

func (r *ring[F]) push(f F) {
	r.put(r.at, f)
	r.at = (r.at + 1) % window
}

// flush waits for all, the oldest first.
func (r *ring[F]) flush() (extra uint64, err error) {
	for i := range window {
		if err := r.await((r.at + i) % window); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
