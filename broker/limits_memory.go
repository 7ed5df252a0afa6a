package broker

import (
	"cmp"
	"net"
	"net/netip"
)

// Sessions, their subscriptions, the messages that wait for them and retained messages
// share one budget in bytes, [Config.Memory]. Each payer has a fair share of it. The
// overhead of each of them was measured; a test compares the figures with the heap.
// State that exists already is charged even beyond the limit, so that a known client is
// not shut out and a broker can start with what its store has.

const (
	// sessionCost is the memory of a session without its connection.
	sessionCost = 3 << 10
	// subscriptionCost is the memory of a subscription besides its filter. The filter
	// is there filterCopies times: as the client wrote it, and in the tree.
	subscriptionCost = 320
	filterCopies     = 3
	// messageCost is the memory of a message besides its content. propertiesCost is the
	// memory of its properties besides their values.
	messageCost    = 192
	propertiesCost = 160
	// entryCost is the memory of a message's place in a queue.
	entryCost = 320
	// retainedCost is the memory of a retained message's place.
	retainedCost = 16
	// openCost is the memory of the identifier of a message that a client has not
	// finished. openBlock is how many of them are charged at a time.
	openCost  = 128
	openBlock = 16
	// willCost is the memory of a will besides its content.
	willCost = 512
	// certificateCost is the memory of a client certificate besides its bytes.
	certificateCost = 4 << 10
	// knownGrowth is by how much a session may grow, whatever the limit, when its
	// client comes back, for example with another will.
	knownGrowth = 1 << 10
)

// sessionCharge is the share of a session in the common quotas.
type sessionCharge struct {
	place  *holder // of hub.sessionQuota
	memory *holder // of hub.memory, for everything of the session
	cost   int     // charged to memory, for the session alone
}

// newSessionCharge charges a place and memory for a session, even beyond the limit.
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

// costOfPeer returns the memory of a session without its will.
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

// payer returns the name of the holder that pays for everything of a client: its
// principal, or its address if it has none. It is empty if clients are not told apart.
func (cfg *Config) payer(p *Peer) string {
	if cfg.open() {
		return ""
	}
	if name := cmp.Or(p.principal.name, p.Username); name != "" {
		return "user " + name
	}
	return "address " + hostOf(p.RemoteAddr)
}

// hostOf returns the name of an address: the whole address for IPv4, and for IPv6 the
// 64-bit network, which is what one customer gets. Connections without an IP address, in
// memory and on Unix sockets, share one name.
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

// cost returns the memory of a message that is kept.
func (m *message) cost() int {
	if m.publish.Properties == nil {
		return messageCost + m.bytes
	}
	return messageCost + propertiesCost + m.bytes
}

// keep returns a copy of m to keep, or nil if the holder has no space for it. cost is the
// memory of the copy besides the message. In the sum over all holders a message counts
// once, however many keep it; each holder is charged for every copy.
func (h *holder) keep(m *message, cost int) *message {
	if m.kept == nil && !h.has(cost+m.cost()) {
		return nil // checked before anything is copied
	}
	kept := m.keep()
	h.chargeCopy(kept, cost)
	if !h.has(0) {
		h.drop(kept, cost)
		return nil
	}
	return kept
}

// chargeCopy charges a copy of a message that is kept already, even beyond the limit.
func (h *holder) chargeCopy(kept *message, cost int) {
	part := cost
	if kept.copies.Add(1) == 1 {
		part += kept.cost()
	}
	h.chargePart(cost+kept.cost(), part)
}

// drop returns what keep or chargeCopy has charged for a copy.
func (h *holder) drop(kept *message, cost int) {
	part := cost
	if kept.copies.Add(-1) == 0 {
		part += kept.cost()
	}
	h.chargePart(-cost-kept.cost(), -part)
}

// costOfEntry returns the memory of a message's place in a queue, with that many
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

// fewIDs is how many identifiers fit into the structs around them.
const fewIDs = 3
