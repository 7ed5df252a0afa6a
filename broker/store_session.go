package broker

import (
	"net"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/internal/brief"
	"github.com/seed65a45251/mqtt/store"
)

// sessionState is what the record of a session holds.
type sessionState struct {
	peer      *Peer
	expiry    uint32    // in seconds
	ended     bool      // the session is over; only its wills remain to be published
	connected bool      // has a connection since since
	since     time.Time // when the client connected or disconnected
	will      *will     // to publish when the client goes
	leaving   []*will   // wills that are being published
}

func (s *sessionState) record() *records.Session {
	r := &records.Session{
		ClientID: s.peer.ClientID, Username: s.peer.Username, Version: s.peer.Version,
		Principal: records.Principal{Name: s.peer.principal.name, Known: s.peer.principal.known},
		Expiry:    s.expiry, Ended: s.ended, Connected: s.connected, Since: s.since,
	}
	if addr := s.peer.RemoteAddr; addr != nil {
		r.Network, r.Address = addr.Network(), addr.String()
	}
	if s.will != nil {
		r.Will = new(s.will.record())
	}
	for _, w := range s.leaving {
		r.Leaving = append(r.Leaving, w.record())
	}
	return r
}

func sessionStateOf(r *records.Session) *sessionState {
	peer := &Peer{
		ClientID: r.ClientID, Username: r.Username, Version: r.Version, RemoteAddr: formerAddr{r.Network, r.Address},
		principal: principal{name: r.Principal.Name, known: r.Principal.Known},
	}
	s := &sessionState{peer: peer, expiry: r.Expiry, ended: r.Ended, connected: r.Connected, since: r.Since}
	if r.Will != nil {
		s.will = willOf(*r.Will, peer)
	}
	for _, w := range r.Leaving {
		s.leaving = append(s.leaving, willOf(w, peer))
	}
	return s
}

func (w *will) record() records.Will { return records.Will{Message: w.message, Delay: w.delay} }

func willOf(r records.Will, peer *Peer) *will {
	return &will{message: r.Message, delay: r.Delay, peer: peer}
}

// formerAddr is the address of a client that connected before the broker started.
type formerAddr struct{ network, address string }

// Network returns the network of the former connection.
func (a formerAddr) Network() string { return a.network }

// String returns the former address.
func (a formerAddr) String() string { return a.address }

var _ net.Addr = formerAddr{}

// sessionOp returns the record of a session, or the removal of the record if nothing
// is left of the session.
func (h *hub) sessionOp(number uint64, s *sessionState) store.Op {
	op := store.Op{Key: records.SessionKey(number)}
	if s.ended && len(s.leaving) == 0 {
		op.Delete = true
		return op
	}
	value, err := s.record().Value()
	if err != nil {
		// All of it was checked when it came.
		h.cfg.Logger.Error("session cannot be stored", "client", brief.Text(s.peer.ClientID), "error", err)
		op.Delete = true
		return op
	}
	op.Value = value
	return op
}
