package mqtt

import (
	"slices"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/match"
)

// unclaimed holds QoS 1 and 2 messages until a Subscription claims them: those of
// a resumed session, and those that a handler has not finished. They stay
// unacknowledged meanwhile.
type unclaimed struct {
	max      int
	holding  bool // the session is that of an earlier process
	held     []*Message
	disowned map[string]bool // filters that this process has given up
}

// hold keeps m if a Subscription may still come for it.
func (u *unclaimed) hold(m *Message) bool {
	if !u.holding || m.QoS == AtMostOnce || len(u.held) >= u.max {
		return false
	}
	for f := range u.disowned {
		if match.MatchPlain(f, m.Topic) {
			return false
		}
	}
	u.held = append(u.held, m)
	return true
}

// keep holds what somebody took and did not finish. The receive maximum bounds it.
func (u *unclaimed) keep(items []item) {
	for _, it := range items {
		if m := it.Message; m.QoS > AtMostOnce {
			if it.lease != nil {
				r := &m.receipt
				m = m.Clone()
				m.receipt = receipt{origin: r.origin, token: r.token, acked: atomic.LoadUint32(&r.acked)}
			}
			u.held = append(u.held, m)
		}
		it.lease.release(1)
	}
}

// claim takes out those held at from and behind it that routes match.
func (u *unclaimed) claim(routes []*route, from int) (claimed []*Message) {
	for _, t := range routes {
		for _, topics := range t.topics {
			delete(u.disowned, topics)
		}
	}
	rest := slices.DeleteFunc(u.held[from:], func(m *Message) bool {
		mine := slices.ContainsFunc(routes, func(t *route) bool { return t.matches(m.Topic) })
		if mine {
			claimed = append(claimed, m)
		}
		return mine
	})
	u.held = u.held[:from+len(rest)]
	return claimed
}

func (u *unclaimed) disown(filter string) {
	if u.holding {
		if u.disowned == nil {
			u.disowned = make(map[string]bool)
		}
		if len(u.disowned) >= u.max {
			clear(u.disowned) // too old to matter: what they matched has long arrived
		}
		u.disowned[filter] = true
	}
}
