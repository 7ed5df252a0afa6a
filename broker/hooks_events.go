package broker

import "github.com/seed65a45251/mqtt/wire"

// Observer is told what happens. It is called by many goroutines at once, each of
// which waits until it returns, so it should be quick. It must not change what the
// event points to, and may keep only the Peer.
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
	Resumed bool // the client has found its session
}

// Disconnected says that a connection has ended that was Connected. If another
// connection has taken over the session, the Connected of that one may come first.
type Disconnected struct {
	Peer   *Peer
	Reason error
}

// Refused says that a connection ended before it was Connected.
type Refused struct {
	Peer   *Peer // nil if no CONNECT had arrived
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

// Published says whether a message of a client, a will or a message of the program
// was accepted.
type Published struct {
	Peer       *Peer // nil for a message of the program
	Message    *wire.Publish
	ReasonCode wire.ReasonCode // as a 5.0 client is told
}

func (Connected) event()    {}
func (Disconnected) event() {}
func (Refused) event()      {}
func (Subscribed) event()   {}
func (Unsubscribed) event() {}
func (Published) event()    {}
