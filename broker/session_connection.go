package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// connection is the network connection of a client, as the session sees it. No method
// waits.
type connection interface {
	// wake makes it look for something to write.
	wake()
	// leave ends it, and starts what follows for the session. It reports whether it still
	// had one.
	leave(e ending) bool
	// fail ends it later with a reason, when its reader comes to it.
	fail(no *refusal)
	// failing reports whether it was told to fail.
	failing() bool
	// detachLocked takes the session away. last is what is still written; told says
	// that it ends with a reason, which the peer should have the time to read. Called
	// with client.mu held.
	detachLocked(last []byte, told bool)
	// finishSoon makes one that was detached come to its end.
	finishSoon()
	// answerPublish acknowledges a message for which the store was waited for.
	answerPublish(t session.Token, code wire.ReasonCode)
}

// hello is what CONNECT said, and what CONNACK made of it.
type hello struct {
	version   wire.Version
	bridge    bool
	terse     bool          // no reason strings
	keepAlive time.Duration // silence after which the connection ends; 0: never
	limits    session.Limits
	peer      *Peer // nil before CONNECT
}

// ending says how a connection ends.
type ending struct {
	reason wire.ReasonCode
	text   string // reason string; empty: none
	server string // to go to; empty: none
	tell   bool   // send DISCONNECT with the reason, if the version has it
	will   bool   // the will is published
}
