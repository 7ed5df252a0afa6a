package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Journal is told what a later process must know of the session of a [Client]. Its
// owner writes all of it to a disk, in the order of the calls, and keeps one rule: no
// byte goes to the server before everything is on the disk that the journal was told
// before the byte was taken. So a record is never behind the packet that depends on it.
// [MQTT-4.1.0-1] What only says that something is over may be written late.
//
// The methods are called within those of Client and must not call it.
type Journal interface {
	// Exchange says that the exchange of o has come further: o has got the packet
	// identifier with which it is sent, its PUBREC has come (see [Outgoing.Released]) or
	// is in doubt (see [Outgoing.Doubtful]), or it starts anew: its identifier is 0, and
	// [Outgoing.Sent] says whether the server may have it nevertheless. It is called for
	// messages whose owner set
	// Durable and for those at QoS 2.
	Exchange(o *Outgoing)
	// End says that o is completed: see [Outgoing.Result]. It is called where Exchange
	// was called or Durable is set.
	End(o *Outgoing)
	// Abandon says that the identifier stays in use, and End follows for its message.
	Abandon(id uint16)
	// FreeAbandoned says that all abandoned identifiers are free again.
	FreeAbandoned()
	// Received says that a QoS 2 message from the session s is acknowledged, or that this
	// is in doubt.
	Received(s SessionID, in ReceivedRecord)
	// Finished says that the exchange of a received message is over.
	Finished(s SessionID, in ReceivedRecord)
	// Subscribed says that a filter is wanted, with options that serve all who want it.
	Subscribed(wire.SubscribeFilter)
	// Unsubscribed says that it no longer is, or that the server has refused it.
	Unsubscribed(filter string)
	// Continuity says what is known of the sessions of servers. It is called for every
	// connection, whether anything has changed or not.
	Continuity(ContinuityRecord)
}

// ReceivedRecord is what a later process must know of a received QoS 2 message.
type ReceivedRecord struct {
	PacketID uint16
	// Number counts the finished exchanges under the identifier before this one.
	Number uint32
	Digest Digest // see DigestOf
	// Doubtful says that the session that brought the message may be gone. Then the
	// content tells a repeat from a new message.
	Doubtful bool
}

// ContinuityRecord is what a later process must know of sessions.
type ContinuityRecord struct {
	Held       []string // client identifiers for which a server may hold a session
	Generation uint64
	Sessions   []SessionRecord
}

// SessionRecord is what a session is known to have seen.
type SessionRecord struct {
	SessionID
	Generation uint64
	Begun      uint64 // how often it has begun
	Doubt      bool   // a CONNECT since the last CONNACK was not answered
	Unanswered bool   // a CONNECT was not answered, and the server may still handle it
	// Inherited says that the server may hold packet identifiers for messages that
	// nobody remembers: each has to be released before it is used.
	Inherited bool `json:",omitempty"`
	// Eraser is until when a clean start that was not answered may delete the session.
	Eraser time.Time `json:",omitzero"`
}
