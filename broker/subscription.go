package broker

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/wire"
)

// subscription is one filter of one client, or the entry of a shared subscription in
// the routing tree. Its fields never change, apart from rank, seat, limit and walk: a SUBSCRIBE
// for the same filter replaces it.
type subscription struct {
	client            *client // nil: it stands for group in the tree
	local             program // nil: it belongs to client
	whole             string  // the filter as the client wrote it
	filter            string  // the filter that topics are matched against
	qos               wire.QoS
	noLocal           bool
	retainAsPublished bool
	rank              rank          // in group; hub.mu guards it, as seat
	id                uint32        // subscription identifier; 0: none
	seat              seat          // in group
	group             *group        // nil: not shared
	limit             atomic.Uint64 // what the hooks allow now, see limitBits
	walk              *walk         // of the retained messages that are still to be sent; nil: there are none. hub.mu guards it
}

// program is a subscription of the program itself.
type program interface {
	// offer hands m over or drops it. It never waits.
	offer(m *message, retain bool)
}

// costOf returns the memory of a subscription.
func costOf(s *subscription) int {
	n := subscriptionCost + filterCopies*len(s.whole)
	if s.group != nil {
		n *= 2 // for the group
	}
	return n
}

// The low limitBits bits of a subscription's limit are 0 if it was not examined again,
// the allowed QoS plus 1, or nothing if it is not allowed. The bits above are the number
// of the rules.
const (
	limitBits = 8
	nothing   = 1<<limitBits - 1
)

// granted returns the QoS up to which s is allowed now.
func (s *subscription) granted() wire.QoS {
	if limit := s.limit.Load() & nothing; limit != 0 && limit != nothing {
		return min(s.qos, wire.QoS(limit-1))
	}
	return s.qos
}

// isBarred reports whether s is not allowed any more. After a change of the rules it is
// not barred until it has been examined again.
func (s *subscription) isBarred() bool {
	limit := s.limit.Load()
	return limit&nothing == nothing && limit>>limitBits == s.client.hub.rules()
}

// order returns a key that sorts the subscriptions of one client together.
func (s *subscription) order() uint64 {
	if s.client == nil {
		return 0
	}
	return s.client.number
}

// record returns the stored form of s.
func (s *subscription) record() []byte {
	r := records.Subscription{
		Filter: s.whole, QoS: s.qos, NoLocal: s.noLocal, RetainAsPublished: s.retainAsPublished,
		Shared: s.group != nil, ID: s.id, Owed: s.walk != nil,
	}
	return r.Value()
}

// filterBytes bounds the text of the subscriptions of one client.
const filterBytes = 4 << 20

// filters are the subscriptions of one client. hub.mu guards them.
type filters struct {
	subscriptions map[string]*subscription // by whole filter
	memberships   []*subscription          // the shared ones among them, in no order
	bytes         int
	cost          int // the memory charged to payer
	payer         *holder
}

func (f *filters) mayAdd(s *subscription, cfg *Config) bool {
	return len(f.subscriptions) < cfg.SubscriptionsPerClient && f.bytes+len(s.whole) <= filterBytes
}

func (f *filters) add(s *subscription) {
	f.remove(s.whole)
	f.subscriptions[s.whole] = s
	f.bytes += len(s.whole)
	f.charge(costOf(s))
}

func (f *filters) remove(whole string) {
	if s, ok := f.subscriptions[whole]; ok {
		delete(f.subscriptions, whole)
		f.bytes -= len(whole)
		f.charge(-costOf(s))
	}
}

func (f *filters) charge(n int) {
	f.payer.charge(n)
	f.cost += n
}

// clear removes all subscriptions.
func (f *filters) clear() {
	f.charge(-f.cost)
	*f = filters{}
}
