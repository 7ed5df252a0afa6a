package mqtt

import (
	"slices"

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
	expected map[string]bool // shared ones that it has left: what is on its way nobody else gets
}

// hold keeps m if a Subscription may still come for it.
func (u *unclaimed) hold(m *Message) bool {
	if m.QoS == AtMostOnce || len(u.held) >= u.max {
		return false
	}
	for f := range u.expected {
		if match.MatchPlain(f, m.Topic) {
			u.held = append(u.held, m)
			return true
		}
	}
	if !u.holding {
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
		if it.QoS > AtMostOnce {
			u.held = append(u.held, it.owned())
		} else {
			it.lease.release(1)
		}
	}
}

// claim takes out those held at from and behind it that routes match.
func (u *unclaimed) claim(routes []*route, from int) (claimed []*Message) {
	for _, t := range routes {
		for _, topics := range t.topics {
			delete(u.disowned, topics)
			delete(u.expected, topics)
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

// expect makes what still comes on topics wait for the next who wants it. A server
// may go on to send what it had queued for this member of a group alone.
func (u *unclaimed) expect(topics string) {
	if u.expected == nil {
		u.expected = make(map[string]bool)
	}
	if len(u.expected) >= u.max {
		clear(u.expected) // too old to matter
	}
	u.expected[topics] = true
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
