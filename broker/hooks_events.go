package broker

import "github.com/seed65a45251/mqtt/wire"

// Observer is told what happens. It is called by many goroutines at once, each of
// which waits for it, so it should be quick. It must not change what the event
// points to, and may keep only the Peer.
type Observer interface{ Observe(e Event) }

// ObserverFunc is a function as an [Observer].
type ObserverFunc func(e Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// Event is one of the types below. More may be added.
type Event interface{ event() }

// Connected says that a client has got its CONNACK.
type Connected struct {
	Peer    *Peer
	Resumed bool // it found its session
}

// Disconnected says that a connection is over that had been Connected. When
// another connection has taken the session over, its Connected may come before.
type Disconnected struct {
	Peer   *Peer
	Reason error
}

// Refused says that a connection ended before it was Connected.
type Refused struct {
	Peer   *Peer // nil when no CONNECT had come
	Reason error
}

// Subscribed says that a client got a subscription, or changed one.
type Subscribed struct {
	Peer   *Peer
	Filter string
	QoS    wire.QoS // granted
}

// Unsubscribed says that a client gave a subscription back.
type Unsubscribed struct {
	Peer   *Peer
	Filter string
}

// Published says what became of a message of a client, its will or the program.
type Published struct {
	Peer       *Peer // nil: the program
	Message    *wire.Publish
	ReasonCode wire.ReasonCode // as a 5.0 client is told
}

func (Connected) event()    {}
func (Disconnected) event() {}
func (Refused) event()      {}
func (Subscribed) event()   {}
func (Unsubscribed) event() {}
func (Published) event()    {}
