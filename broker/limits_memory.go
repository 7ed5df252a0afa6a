package broker

import (
	"cmp"
	"net"
	"net/netip"
)

// Sessions, their subscriptions, what waits for them and retained messages have one sum
// in bytes, [Config.Memory], of which everybody who is told apart has a fair share. What
// each of them takes besides its texts and messages was measured; a test holds the
// figures against the heap. What is there already is charged whatever is left, so that
// nobody who is known is shut out, and a start finds space for what the store has.

const (
	// sessionCost is what a session takes without connection.
	sessionCost = 3 << 10
	// subscriptionCost is what a subscription takes beside its filter, which is there
	// filterCopies times: as the client wrote it, and in the tree.
	subscriptionCost = 320
	filterCopies     = 3
	// messageCost is what a message takes beside what it carries, and propertiesCost what
	// its properties take beside their values.
	messageCost    = 192
	propertiesCost = 160
	// entryCost is what the place of a message in a queue takes.
	entryCost = 320
	// retainedCost is what the place of a retained message takes.
	retainedCost = 16
	// openCost is what the identifier of a message takes that a client has not
	// finished, and openBlock how many are charged at a time.
	openCost  = 128
	openBlock = 16
	// willCost is what a will takes beside what it carries.
	willCost = 512
	// certificateCost is what a certificate of a client takes beside its bytes.
	certificateCost = 4 << 10
	// knownGrowth is by how much a session may grow, in any case, when its client
	// comes back, such as by another will.
	knownGrowth = 1 << 10
)

// sessionCharge is what a session takes for itself of what all share.
type sessionCharge struct {
	place  *holder // of hub.sessionQuota
	memory *holder // of hub.memory, for everything of the session
	cost   int     // charged to memory, for the session alone
}

// newSessionCharge takes a place and memory for a session, whether or not there is space.
func newSessionCharge(sessions, memory *quota, payer string, cost int) sessionCharge {
	s := sessionCharge{place: sessions.join(payer), memory: memory.join(payer)}
	s.place.charge(1)
	s.resize(cost)
	return s
}

// resize charges another cost for the session alone.
func (s *sessionCharge) resize(cost int) {
	s.memory.charge(cost - s.cost)
	s.cost = cost
}

// end gives back what newSessionCharge took.
func (s *sessionCharge) end() {
	s.resize(0)
	s.place.give(1)
	s.place.leave()
	s.memory.leave()
}

// costOfPeer returns what a session takes for itself, without its will.
func costOfPeer(p *Peer) int {
	n := sessionCost + len(p.ClientID) + len(p.Username)
	if p.TLS != nil {
		n += certificateCost // of the state, which has about as much
		for _, c := range p.TLS.PeerCertificates {
			n += certificateCost + 2*len(c.Raw)
		}
	}
	return n
}

// payer returns in whose share everything is that belongs to a client: that of its
// principal, or of its address if it has none. It is empty where nobody is told apart.
func (cfg *Config) payer(p *Peer) string {
	if cfg.open() {
		return ""
	}
	if name := cmp.Or(p.principal.name, p.Username); name != "" {
		return "user " + name
	}
	return "address " + hostOf(p.RemoteAddr)
}

// hostOf returns what counts as one address: one of version 4, or the network of 64 bits
// that a customer gets of version 6. All that have none, in memory and on Unix sockets,
// are one.
func hostOf(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return ""
	}
	ip := at.Addr().Unmap().WithZone("")
	if network, err := ip.Prefix(64); ip.Is6() && err == nil {
		return network.Addr().String()
	}
	return ip.String()
}

// cost returns what a message that is kept takes.
func (m *message) cost() int {
	if m.publish.Properties == nil {
		return messageCost + m.bytes
	}
	return messageCost + propertiesCost + m.bytes
}

// keep returns m as it can be kept, or nil if the holder has no space for it. cost is what
// the copy takes besides. In all a message counts once, however many have it; with each
// holder it counts for every copy.
func (h *holder) keep(m *message, cost int) *message {
	if m.kept == nil && !h.has(cost+m.cost()) {
		return nil // before anything is copied
	}
	kept := m.keep()
	h.chargeCopy(kept, cost)
	if !h.has(0) {
		h.drop(kept, cost)
		return nil
	}
	return kept
}

// chargeCopy is keep whatever is left, for a message that is kept already.
func (h *holder) chargeCopy(kept *message, cost int) {
	part := cost
	if kept.copies.Add(1) == 1 {
		part += kept.cost()
	}
	h.chargePart(cost+kept.cost(), part)
}

// drop is the end of a copy.
func (h *holder) drop(kept *message, cost int) {
	part := cost
	if kept.copies.Add(-1) == 0 {
		part += kept.cost()
	}
	h.chargePart(-cost-kept.cost(), -part)
}

// costOfEntry returns what the place of a message in a queue takes, with so many
// subscription identifiers.
func costOfEntry(ids int) int {
	if ids == 0 {
		return entryCost
	}
	return entryCost + propertiesCost + idBytes(ids)
}

func idBytes(n int) int {
	if n <= fewIDs {
		return 0
	}
	return 4 * n
}

// fewIDs is how many are part of the structs around them.
const fewIDs = 3
