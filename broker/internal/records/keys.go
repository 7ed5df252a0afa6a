// Package records holds the keys and values with which a broker writes its state into
// a [store.Store]. It knows the formats and nothing else of the broker.
package records

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/seed65a45251/mqtt/store"
)

// All keys of a broker begin with prefix, so that others can use the same Store, and
// with the kind of the record. Numbers follow, the highest byte first, and hashes of
// texts that may be long:
//
//	Bc                               when the broker last ran
//	Bs session                       a session
//	Bf session SHA-256(filter)       a subscription
//	Bm message                       a message that waits for one session or more
//	Bq message session place         its place in the queue of a session
//	Bi session packet identifier     a QoS 2 message that was received
//	Br SHA-256(topic)                a retained message
//
// A session that starts anew has a new number, so records of the old session are
// never taken for its own. The places of one message are neighbours, so a message for
// many sessions changes few pages of a file.
// many sessions changes few pages of a file.
const prefix = "B"

// Kind is the second byte of a key. It says what the record is about.
type Kind byte

// The kinds of records.
const (
	ClockKind        Kind = 'c'
	SessionKind      Kind = 's'
	SubscriptionKind Kind = 'f'
	MessageKind      Kind = 'm'
	QueuedKind       Kind = 'q'
	IdentifierKind   Kind = 'i'
	RetainedKind     Kind = 'r'
)

// Prefix returns the common prefix of the keys of all records of the kind.
func (k Kind) Prefix() []byte { return k.key() }

func (k Kind) key(numbers ...uint64) []byte {
	key := make([]byte, 0, 2+8*len(numbers))
	key = append(key, prefix...)
	key = append(key, byte(k))
	for _, n := range numbers {
		key = binary.BigEndian.AppendUint64(key, n)
	}
	return key
}

// ClockKey returns the key of the time when the broker last ran.
func ClockKey() []byte { return ClockKind.key() }

// SessionKey returns the key of a session.
func SessionKey(session uint64) []byte { return SessionKind.key(session) }

// SubscriptionKey returns the key of a session's subscription to a whole filter.
func SubscriptionKey(session uint64, filter string) []byte {
	hash := sha256.Sum256([]byte(filter))
	return append(SubscriptionKind.key(session), hash[:]...)
}

// MessageKey returns the key of a message that queues refer to.
func MessageKey(message uint64) []byte { return MessageKind.key(message) }

// QueuedKey returns the key of the place that a message has in the queue of a
// session.
func QueuedKey(message, session, place uint64) []byte {
	return QueuedKind.key(message, session, place)
}

// IdentifierKey returns the key of a packet identifier that a session has received.
func IdentifierKey(session uint64, id uint16) []byte {
	return binary.BigEndian.AppendUint16(IdentifierKind.key(session), id)
}

// RetainedKey returns the key of the retained message of a topic.
func RetainedKey(topic string) []byte {
	hash := sha256.Sum256([]byte(topic))
	return append(RetainedKind.key(), hash[:]...)
}

// Deletion removes the record of a key.
func Deletion(key []byte) store.Op { return store.Op{Key: key, Delete: true} }

// Key is a parsed key. Fields that the kind does not have are zero; hashes are left
// out.
type Key struct {
	Message, Session, Place uint64
	PacketID                uint16
}

// Parse parses a key of the kind.
func (k Kind) Parse(key []byte) (parsed Key, err error) {
	var numbers []*uint64
	rest := 0
	switch k {
	case SessionKind:
		numbers = []*uint64{&parsed.Session}
	case SubscriptionKind:
		numbers, rest = []*uint64{&parsed.Session}, sha256.Size
	case MessageKind:
		numbers = []*uint64{&parsed.Message}
	case QueuedKind:
		numbers = []*uint64{&parsed.Message, &parsed.Session, &parsed.Place}
	case IdentifierKind:
		numbers, rest = []*uint64{&parsed.Session}, 2
	case RetainedKind:
		rest = sha256.Size
	}
	if len(key) != 2+8*len(numbers)+rest {
		return Key{}, fmt.Errorf("key: %w", ErrDamaged)
	}
	b := key[2:]
	for _, n := range numbers {
		*n, b = binary.BigEndian.Uint64(b), b[8:]
	}
	if k == IdentifierKind {
		parsed.PacketID = binary.BigEndian.Uint16(b)
	}
	return parsed, nil
}
