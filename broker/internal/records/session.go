package records

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Session is the record of a session.
type Session struct {
	ClientID, Username string
	Version            wire.Version
	Network, Address   string // of the client
	Principal          Principal

	Expiry    uint32    // in seconds
	Ended     bool      // the session is over; only its wills remain to be published
	Connected bool      // has a connection since Since
	Since     time.Time // when the client connected or disconnected
	Will      *Will     // to publish when the client goes; nil: none
	Leaving   []Will    // wills that are being published
}

// Principal is the principal that a session belongs to.
type Principal struct {
	Name  string
	Known bool
}

// Will is a will and its delay, in whole seconds.
type Will struct {
	Message wire.Publish
	Delay   time.Duration
}

// principalFormat is the format of sessions whose principal is not their user name.
const principalFormat = 2

// usualPrincipal returns the principal of a session in the first format. For a session
// without a user name it is not known whether there were authenticators.
func usualPrincipal(username string) Principal {
	return Principal{Name: username, Known: username != ""}
}

// Value returns the record. The error is about a will that has no encoding.
func (s *Session) Value() ([]byte, error) {
	w := newWriter(64 + len(s.ClientID) + len(s.Username) + len(s.Principal.Name))
	w.string(s.ClientID)
	w.string(s.Username)
	w.byte(byte(s.Version))
	w.string(s.Network)
	w.string(s.Address)
	w.uint32(s.Expiry)
	w.bool(s.Ended)
	w.bool(s.Connected)
	w.time(s.Since)
	w.bool(s.Will != nil)
	if s.Will != nil {
		if err := w.will(s.Will); err != nil {
			return nil, err
		}
	}
	w = binary.AppendUvarint(w, uint64(len(s.Leaving)))
	for i := range s.Leaving {
		if err := w.will(&s.Leaving[i]); err != nil {
			return nil, err
		}
	}
	if s.Principal != usualPrincipal(s.Username) {
		w[0] = principalFormat
		w.bool(s.Principal.Known)
		w.string(s.Principal.Name)
	}
	return w, nil
}

func (w *writer) will(will *Will) error {
	w.uint32(uint32(will.Delay / time.Second))
	return w.publish(&will.Message)
}

func (r *reader) will() Will {
	delay := r.uint32()
	return Will{Message: r.publish(), Delay: time.Duration(delay) * time.Second}
}

// ParseSession reads the record of a session, which has memory of its own.
func ParseSession(value []byte) (*Session, error) {
	r, format := newReaderUpTo(bytes.Clone(value), principalFormat)
	s := &Session{
		ClientID: r.string(), Username: r.string(), Version: wire.Version(r.byte()), Network: r.string(), Address: r.string(),
		Expiry: r.uint32(), Ended: r.bool(), Connected: r.bool(), Since: r.time(),
	}
	if r.bool() {
		s.Will = new(r.will())
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		s.Leaving = append(s.Leaving, r.will())
	}
	if s.Principal = usualPrincipal(s.Username); format == principalFormat {
		s.Principal.Known, s.Principal.Name = r.bool(), r.string()
	}
	if s.ClientID == "" {
		r.fail(ErrDamaged)
	}
	return s, r.end()
}

// Subscription is the record of one filter of a session.
type Subscription struct {
	Filter            string // as the client wrote it
	QoS               wire.QoS
	NoLocal           bool
	RetainAsPublished bool
	Shared            bool
	ID                uint32 // subscription identifier; 0: none
	Owed              bool   // retained messages are still to be sent
}

// MaximumSubscriptionID is the largest subscription identifier.
const MaximumSubscriptionID = 268_435_455

// owedFormat is the format of subscriptions whose retained messages are still to be
// sent.
const owedFormat = 2

// Value returns the record.
func (s *Subscription) Value() []byte {
	w := newWriter(16 + len(s.Filter))
	w.string(s.Filter)
	w.byte(byte(s.QoS))
	w.bool(s.NoLocal)
	w.bool(s.RetainAsPublished)
	w.bool(s.Shared)
	w.uint32(s.ID)
	if s.Owed {
		w[0] = owedFormat
		w.bool(true)
	}
	return w
}

// ParseSubscription reads the record of a subscription. It does not check the filter.
func ParseSubscription(value []byte) (Subscription, error) {
	r, format := newReaderUpTo(value, owedFormat)
	s := Subscription{Filter: r.string(), QoS: r.qos(), NoLocal: r.bool(), RetainAsPublished: r.bool(), Shared: r.bool(), ID: r.uint32()}
	if s.ID > MaximumSubscriptionID {
		r.fail(ErrDamaged)
	}
	if s.Owed = format == owedFormat; s.Owed && !r.bool() {
		r.fail(ErrDamaged)
	}
	return s, r.end()
}
