package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// connection is the network connection of a client, as the session uses it. No method
// waits.
type connection interface {
	// wake makes the connection check for data to write.
	wake()
	// leave ends the connection, and then ends or keeps the session. It reports whether
	// the connection still had the session.
	leave(e ending) bool
	// fail makes the reader end the connection with a reason.
	fail(no *refusal)
	// failing reports whether fail was called.
	failing() bool
	// detachLocked takes the session away. last are the bytes still to be written.
	// told says that they end with a reason, which the peer should have the time to
	// read. Called with client.mu held.
	detachLocked(last []byte, told bool)
	// finishSoon makes a detached connection end.
	finishSoon()
	// answerPublish acknowledges a message that was waiting for the store.
	answerPublish(t session.Token, code wire.ReasonCode)
}

// hello is what CONNECT said, as far as CONNACK granted it.
type hello struct {
	version   wire.Version
	bridge    bool
	terse     bool          // send no reason strings
	keepAlive time.Duration // silence after which the connection ends; 0: never
	limits    session.Limits
	peer      *Peer // nil before CONNECT
}

// ending says how a connection ends.
type ending struct {
	reason wire.ReasonCode
	text   string // reason string; empty: none
	server string // the server to use instead; empty: none
	tell   bool   // send DISCONNECT with the reason, if the version has it
	will   bool   // publish the will
}
