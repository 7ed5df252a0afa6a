package mqtt

import (
	"encoding/hex"
	"fmt"

	"github.com/seed65a45251/mqtt/internal/durable"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// messageKey is what tells a received message from all others, besides its content.
type messageKey struct {
	source *keySource // nil: the message has no key
	id     uint16
	number uint32
}

// keySource is what the keys of one connection have in common. The reader of the connection
// sees one value.
type keySource struct{ store, session string }

// newKeySource returns the source for the session s, of which this is the number, in the
// Store with that identity. What a session has used, the next one uses again. Its number is in
// the Store before the SUBSCRIBE goes out that brings its first message.
func newKeySource(identity string, s session.SessionID, number uint64) *keySource {
	return &keySource{identity, fmt.Sprintf("%s.%x", hex.EncodeToString(durable.SessionHash(s)), number)}
}

// keyed adds the key of in to its acknowledger.
func (a acknowledger) keyed(in *session.Received) acknowledger {
	if source := a.origin.keys; source != nil && in.Publish.QoS == ExactlyOnce {
		a.origin = &origin{a.origin.holds, messageKey{source, in.Publish.PacketID, in.Token.Number()}}
	}
	return a
}

// Key identifies a message that was received at QoS 2 by a client with a Store. A message
// that comes again, because the process ended before it was acknowledged, has the same
// key, and every other message of that Store has another one. So a program takes each
// message once if it records the key in the transaction that takes the message, and
// acknowledges the message after that. Key is "" without a Store, below QoS 2, and for
// messages that were not received. The content must not have been changed.
//
// The key is made of the Store, the session, the packet identifier, how often the
// identifier was used, and the content. It has at most 80 characters.
func (m *Message) Key() string {
	if m.acknowledger.origin == nil || m.acknowledger.origin.key.source == nil {
		return ""
	}
	k := &m.acknowledger.origin.key
	d := session.DigestOf(&wire.Publish{Topic: m.Topic, Payload: m.Payload}, V311)
	return fmt.Sprintf("%s-%s-%x-%x-%x", k.source.store, k.source.session, k.id, k.number, d.Content)
}
