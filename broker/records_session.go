package broker

import (
	"bytes"
	"encoding/binary"
	"net"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// sessionState is the record of a session.
type sessionState struct {
	peer      Peer
	expiry    uint32    // in seconds
	ended     bool      // there are only wills left to publish
	connected bool      // since
	since     time.Time // when the client came or went
	will      *will     // of the client, for when it goes
	leaving   []*will   // are being published
}

// principalFormat is that of sessions of another principal than their user name says.
const principalFormat = 2

// usualPrincipal is that of sessions of the first format. Nobody knows whether clients
// without a user name were asked for one.
func usualPrincipal(username string) principal {
	return principal{name: username, known: username != ""}
}

func (s *sessionState) value() ([]byte, error) {
	w := newRecord(64 + len(s.peer.ClientID) + len(s.peer.Username) + len(s.peer.principal.name))
	w.string(s.peer.ClientID)
	w.string(s.peer.Username)
	w.byte(byte(s.peer.Version))
	network, address := "", ""
	if addr := s.peer.RemoteAddr; addr != nil {
		network, address = addr.Network(), addr.String()
	}
	w.string(network)
	w.string(address)
	w.uint32(s.expiry)
	w.bool(s.ended)
	w.bool(s.connected)
	w.time(s.since)
	w.bool(s.will != nil)
	if s.will != nil {
		if err := w.will(s.will); err != nil {
			return nil, err
		}
	}
	w = binary.AppendUvarint(w, uint64(len(s.leaving)))
	for _, each := range s.leaving {
		if err := w.will(each); err != nil {
			return nil, err
		}
	}
	if s.peer.principal != usualPrincipal(s.peer.Username) {
		w[0] = principalFormat
		w.bool(s.peer.principal.known)
		w.string(s.peer.principal.name)
	}
	return w, nil
}

func (w *recordWriter) will(will *will) error {
	w.uint32(uint32(will.delay / time.Second))
	return w.publish(&will.message)
}

func (r *recordReader) will(peer *Peer) *will {
	delay := r.uint32()
	return &will{message: r.publish(), delay: time.Duration(delay) * time.Second, peer: peer}
}

func parseSession(value []byte) (*sessionState, error) {
	r, format := readFormats(bytes.Clone(value), principalFormat) // wills share its memory
	s := &sessionState{peer: Peer{ClientID: r.string(), Username: r.string(), Version: wire.Version(r.byte())}}
	s.peer.RemoteAddr = formerAddr{r.string(), r.string()}
	s.expiry, s.ended, s.connected, s.since = r.uint32(), r.bool(), r.bool(), r.time()
	if r.bool() {
		s.will = r.will(&s.peer)
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		s.leaving = append(s.leaving, r.will(&s.peer))
	}
	if s.peer.principal = usualPrincipal(s.peer.Username); format == principalFormat {
		s.peer.principal.known, s.peer.principal.name = r.bool(), r.string()
	}
	if s.peer.ClientID == "" {
		r.fail(errRecordDamaged)
	}
	return s, r.end()
}

// formerAddr is the address of a client that was there before the broker started.
type formerAddr struct{ network, address string }

// Network returns what it was.
func (a formerAddr) Network() string { return a.network }

// String returns what it was.
func (a formerAddr) String() string { return a.address }

var _ net.Addr = formerAddr{}

func (s *subscription) value() []byte {
	w := newRecord(16 + len(s.whole))
	w.string(s.whole)
	w.byte(byte(s.qos))
	w.bool(s.noLocal)
	w.bool(s.retainAsPublished)
	w.bool(s.group != nil)
	w.uint32(s.id)
	if s.walk != nil {
		w[0] = owedFormat
		w.bool(true)
	}
	return w
}

// owedFormat is that of subscriptions whose retained messages are still to be sent.
const owedFormat = 2

// checkFilter checks what SUBSCRIBE has been checked for.
func checkFilter(whole string, shared bool) error {
	if err := match.ValidateFilter(whole); err != nil {
		return err
	}
	if _, _, is := match.SplitShared(whole); shared && !is {
		return errRecordDamaged
	}
	return nil
}

// parseSubscription returns a subscription that has no client and no place yet.
// owed says that its retained messages are still to be sent.
func parseSubscription(value []byte) (s *subscription, shared, owed bool, err error) {
	r, format := readFormats(value, owedFormat)
	s = &subscription{whole: r.string(), qos: r.qos(), noLocal: r.bool(), retainAsPublished: r.bool()}
	shared = r.bool()
	s.id = r.uint32()
	if s.id > maximumSubscriptionID {
		r.fail(errRecordDamaged)
	}
	if owed = format == owedFormat; owed && !r.bool() {
		r.fail(errRecordDamaged)
	}
	return s, shared, owed, r.end()
}
