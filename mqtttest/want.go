package mqtttest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// Want waits until that many packets that match have been passed on since the broker
// was made, and returns the last of them. Packets that have already been passed on
// count. m.Times is the number; zero means one, and a negative number fails. Like all
// methods that begin with Want, it fails the test at once when Config.Patience is
// over.
func (b *Broker) Want(m Match) Event {
	b.t.Helper()
	if m.Times < 0 {
		b.t.Fatalf("mqtttest: want %d packets", m.Times)
	}
	var found Event
	ok := b.recorder.wait(b.cfg.Patience, func() bool {
		left := max(m.Times, 1)
		for _, e := range b.recorder.events {
			if !e.Passed.IsZero() && m.fitsEvent(e.Packet, e.Direction, e.ClientID) {
				if left--; left == 0 {
					found = *e
					return true
				}
			}
		}
		return false
	})
	if !ok {
		b.t.Fatalf("mqtttest: no such packet within %v: %s", b.cfg.Patience, m)
	}
	return found
}

// String returns a description of the packets.
func (m Match) String() string {
	var s strings.Builder
	if m.Times > 1 {
		fmt.Fprintf(&s, "%d × ", m.Times)
	}
	if m.Type == 0 {
		s.WriteString("any packet")
	} else {
		s.WriteString(m.Type.String())
	}
	switch m.Direction {
	case Up:
		s.WriteString(" from the client")
	case Down:
		s.WriteString(" from the broker")
	}
	if m.ClientID != "" {
		fmt.Fprintf(&s, ", client %q", m.ClientID)
	}
	if m.If != nil {
		s.WriteString(", with a condition")
	}
	return s.String()
}

// WantPublished waits until clients have published messages that match the filter,
// and the broker has got them. Without payloads one message is enough. With payloads
// there must be messages with these payloads in this order; other messages may come
// in between. A repeat does not count. It returns the messages that it found, which
// must not be changed.
func (b *Broker) WantPublished(filter string, payloads ...string) []*wire.Publish {
	b.t.Helper()
	b.checkFilter(filter)
	var found, all []*wire.Publish
	ok := b.recorder.wait(b.cfg.Patience, func() bool {
		all = b.recorder.published(filter)
		found = inOrder(all, payloads)
		return found != nil
	})
	if !ok {
		b.t.Fatalf("mqtttest: want published on %q: %q\n got within %v: %s", filter, payloads, b.cfg.Patience, summary(all))
	}
	return found
}

func (b *Broker) checkFilter(filter string) {
	b.t.Helper()
	if err := match.ValidateFilter(filter); err != nil {
		b.t.Fatalf("mqtttest: %q: %v", filter, err)
	}
}

// published returns the messages that clients have published and that match a filter.
// The caller holds r.mu.
func (r *recorder) published(filter string) []*wire.Publish {
	var all []*wire.Publish
	aliases := make(map[alias]string)
	seen := make(map[flight]*wire.Publish)
	for _, e := range r.events {
		p, ok := e.Packet.(*wire.Publish)
		if !ok || e.Direction != Up || e.Passed.IsZero() {
			continue
		}
		key := flight{e.ClientID, Up, p.PacketID}
		if first := seen[key]; p.Duplicate && first != nil && string(first.Payload) == string(p.Payload) {
			continue // the broker has got it already
		}
		seen[key] = p
		if p = resolve(aliases, e.Conn, p); match.Match(filter, p.Topic) {
			all = append(all, p)
		}
	}
	return all
}

// alias identifies a topic alias on one connection.
type alias struct {
	conn   int
	number uint16
}

// resolve returns p with its topic filled in.
func resolve(aliases map[alias]string, conn int, p *wire.Publish) *wire.Publish {
	if p.Properties == nil || p.Properties.TopicAlias == 0 {
		return p
	}
	key := alias{conn, p.Properties.TopicAlias}
	if p.Topic != "" {
		aliases[key] = p.Topic
		return p
	}
	named := *p
	named.Topic = aliases[key]
	return &named
}

// inOrder returns the messages with these payloads, all messages if there are no
// payloads, or nil if one is missing.
func inOrder(all []*wire.Publish, payloads []string) []*wire.Publish {
	if len(payloads) == 0 {
		return all
	}
	var found []*wire.Publish
	for _, p := range all {
		if string(p.Payload) == payloads[len(found)] {
			if found = append(found, p); len(found) == len(payloads) {
				return found
			}
		}
	}
	return nil
}

func summary(all []*wire.Publish) string {
	if len(all) == 0 {
		return "nothing"
	}
	var s strings.Builder
	for _, p := range all[:min(len(all), 50)] {
		fmt.Fprintf(&s, "\n\t%s", show(p))
	}
	return s.String()
}

// WantSubscribed waits until one of these clients, or any, is subscribed to exactly
// this filter: the broker has granted it, and the session exists. It returns the QoS
// that was granted.
func (b *Broker) WantSubscribed(filter string, clientIDs ...string) wire.QoS {
	b.t.Helper()
	var granted wire.QoS
	s := &b.recorder.state
	ok := b.recorder.wait(b.cfg.Patience, func() bool {
		for id, c := range s.sessions {
			if qos, subscribed := c.subscriptions[filter]; subscribed && (len(clientIDs) == 0 || slices.Contains(clientIDs, id)) {
				granted = qos
				return true
			}
		}
		return false
	})
	if !ok {
		b.t.Fatalf("mqtttest: want a subscription to %q of %s, there are: %s",
			filter, anyOf(clientIDs), b.recorder.subscriptions())
	}
	return granted
}

func anyOf(clientIDs []string) string {
	if len(clientIDs) == 0 {
		return "any client"
	}
	return fmt.Sprintf("one of %q", clientIDs)
}

func (r *recorder) subscriptions() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s strings.Builder
	for _, id := range slices.Sorted(maps.Keys(r.state.sessions)) {
		fmt.Fprintf(&s, "\n\t%q: %q", id, slices.Sorted(maps.Keys(r.state.sessions[id].subscriptions)))
	}
	return s.String()
}

// WantConnected waits until all these clients are connected: each has been sent a
// CONNACK that accepts it, and its connection is open.
func (b *Broker) WantConnected(clientIDs ...string) {
	b.t.Helper()
	b.wantPresence(true, clientIDs)
}

// WantDisconnected waits until none of these clients has a connection.
func (b *Broker) WantDisconnected(clientIDs ...string) {
	b.t.Helper()
	b.wantPresence(false, clientIDs)
}

func (b *Broker) wantPresence(connected bool, clientIDs []string) {
	b.t.Helper()
	s := &b.recorder.state
	var wrong string
	ok := b.recorder.wait(b.cfg.Patience, func() bool {
		for _, id := range clientIDs {
			if c := s.sessions[id]; (c != nil && c.conn != 0) != connected {
				wrong = id
				return false
			}
		}
		return true
	})
	if !ok {
		b.t.Fatalf("mqtttest: want connected=%t within %v: client %q", connected, b.cfg.Patience, wrong)
	}
}
