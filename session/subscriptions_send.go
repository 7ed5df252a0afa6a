package session

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/seed65a45251/mqtt/wire"
)

// maxOpenRequests bounds how many SUBSCRIBEs and UNSUBSCRIBEs wait for an answer at a
// time. A client with very many filters must not flood the server when it reconnects.
const maxOpenRequests = 256

// start begins a connection with a session of this kind.
func (s *Subscriptions) start(kind Continuity, id SessionID) {
	s.moveTo(id)
	for _, in := range s.due {
		in.due = false
	}
	s.due, s.ready = nil, true
	again := kind < Proven || s.link.Version != wire.V311 || s.always
	for f := s.all.head; f != nil; f = f.next {
		switch {
		case kind == Fresh:
			f.has = hasNot
		case f.has == has && kind < Proven:
			f.has = mayHave
		}
		s.markChanged(f)
	}
	for in := s.interests.head; in != nil; in = in.next {
		for i := range in.asks {
			a := &in.asks[i]
			if again && a.state != askWithdrawn && (kind < Proven || a.state != askRefused) {
				a.become(askDue)
			}
			if a.state == askDue {
				s.markDue(in)
			}
		}
		in.countUnanswered()
	}
	s.Pump()
}

// moveTo continues with the filters of another session. What was said of filters before the
// first connection is about the first session.
func (s *Subscriptions) moveTo(id SessionID) {
	if !s.known || id == s.at {
		s.at, s.known = id, true
		return
	}
	for f := s.all.head; f != nil; f = f.next {
		there := slices.Contains(f.elsewhere, id)
		f.elsewhere = slices.DeleteFunc(f.elsewhere, func(other SessionID) bool { return other == id })
		if f.has != hasNot {
			f.elsewhere = append(f.elsewhere, s.at)
		}
		f.has = hasNot
		if there {
			f.has = mayHave
		}
	}
	s.at = id
}

// stop ends the connection. The state of filters without an answer is unknown then.
func (s *Subscriptions) stop() {
	s.ready, s.open = false, 0
	for f := s.all.head; f != nil; f = f.next {
		for _, st := range f.steps {
			for _, a := range st.asks {
				if a.state == askSent {
					a.become(askDue)
				}
			}
			f.has = mayHave
		}
		f.steps = nil
	}
}

// countUnanswered counts the filters of in that have no answer.
func (in *Interest) countUnanswered() {
	in.unanswered = 0
	for i := range in.asks {
		if in.asks[i].state < askGranted {
			in.unanswered++
		}
	}
}

// Pump sends the difference between both sets, up to maxOpenRequests.
func (s *Subscriptions) Pump() {
	for s.ready && s.open < maxOpenRequests && len(s.due) > 0 {
		s.subscribeDue()
	}
	for s.ready && s.open < maxOpenRequests && len(s.changed) > 0 {
		s.sendChanges()
	}
}

// batch is the content of one SUBSCRIBE before it is divided.
type batch struct {
	packet  wire.Subscribe
	renewal bool // all its filters were granted before
	steps   []step
	index   map[string]int // of steps by filter, where several interests share the batch
}

// subscribeDue sends the SUBSCRIBEs of the next interest. If the server has no
// subscription identifiers, other interests may share the packets.
func (s *Subscriptions) subscribeDue() {
	var b batch
	for len(s.due) > 0 && (b.steps == nil || s.mayShare(s.due[0], &b)) {
		in := s.due[0]
		s.due[0] = nil
		s.due, in.due = s.due[1:], false
		if !in.in {
			continue
		}
		if err := s.checkInterest(in); err != nil {
			s.answers = append(s.answers, InterestAnswer{Interest: in, Err: err})
			s.Remove(in, false)
			continue
		}
		b.renewal = in.renewed()
		s.gather(&b, in)
	}
	s.sendBatch(&b)
}

// mayShare reports whether in may share the packets of b. An interest that was never
// granted has packets of its own: a caller waits for the answer, and if the server
// rejects it, other filters must not be blamed.
func (s *Subscriptions) mayShare(in *Interest, b *batch) bool {
	return in.renewed() && b.renewal && s.link.Limits.NoSubscriptionIDs && in.UserProperties == nil && b.packet.UserProperties == nil &&
		len(b.steps) < 4096
}

// renewed reports whether all filters that in asks for were granted before.
func (in *Interest) renewed() bool {
	return !slices.ContainsFunc(in.asks, func(a ask) bool { return a.state == askDue && !a.granted })
}

// leaving reports whether an UNSUBSCRIBE for f has no answer. A SUBSCRIBE waits for that:
// only PUBLISH has an order in MQTT (§4.6), and a server that handles requests side by
// side, as aedes does, may otherwise end the new subscription.
func (f *subscribed) leaving() bool {
	return slices.ContainsFunc(f.steps, func(st step) bool { return st.leave && !st.answered })
}

// gather adds the filters that in asks for to b, except for those that are leaving. A
// packet has one subscription identifier, so filters with another one go into a batch of
// their own.
func (s *Subscriptions) gather(b *batch, in *Interest) {
	ids := !s.link.Limits.NoSubscriptionIDs && in.SubscriptionIDs != nil
	if !ids && b.index == nil {
		b.index = make(map[string]int)
	}
	var others []*ask
	begun := len(b.steps) > 0
	for i := range in.asks {
		a := &in.asks[i]
		if a.state != askDue || a.filter.leaving() {
			continue
		}
		if ids && begun && in.SubscriptionIDs[i] != b.packet.SubscriptionID {
			others = append(others, a)
			continue
		}
		if !begun {
			begun = true
			b.packet.UserProperties = in.UserProperties
			if ids {
				b.packet.SubscriptionID = in.SubscriptionIDs[i]
			}
		}
		s.add(b, a)
	}
	slices.SortStableFunc(others, func(a, b *ask) int {
		return cmp.Compare(in.SubscriptionIDs[a.at], in.SubscriptionIDs[b.at])
	})
	for len(others) > 0 {
		id := in.SubscriptionIDs[others[0].at]
		next := batch{packet: wire.Subscribe{UserProperties: in.UserProperties, SubscriptionID: id}}
		for len(others) > 0 && in.SubscriptionIDs[others[0].at] == id {
			s.add(&next, others[0])
			others = others[1:]
		}
		s.sendBatch(&next)
	}
}

// add adds a to b.
func (s *Subscriptions) add(b *batch, a *ask) {
	a.become(askSent)
	a.interest.sent = true
	if i, there := b.index[a.filter.name]; there {
		b.steps[i].asks = append(b.steps[i].asks, a)
		return
	}
	o := s.merged(a.filter)
	o.RetainHandling = a.want().RetainHandling
	if a.granted && s.link.Version == wire.V5 && o.RetainHandling == wire.SendRetained {
		// A renewal brings retained messages only if the server had lost the filter.
		o.RetainHandling = wire.SendRetainedIfNew
	}
	if b.index != nil {
		b.index[o.Filter] = len(b.steps)
	}
	b.packet.Filters = append(b.packet.Filters, o)
	b.steps = append(b.steps, step{asks: []*ask{a}, options: o})
}

// sendBatch sends b in as many packets as the limits require.
func (s *Subscriptions) sendBatch(b *batch) {
	steps := b.steps
	if len(steps) == 0 {
		return
	}
	for _, p := range s.client.SplitSubscribe(&b.packet, s.most) {
		n := len(p.Filters)
		s.request(&Request{Subscribe: p}, steps[:n:n])
		steps = steps[n:]
	}
}

// sentRequest is a request of ours, and its filters in order.
type sentRequest struct {
	by      *Subscriptions
	filters []*subscribed
}

func (q *sentRequest) requestEnded(r *Request) { q.by.requestEnded(r, q.filters) }

// request sends r, which is a step for each of its filters.
func (s *Subscriptions) request(r *Request, steps []step) {
	sent := &sentRequest{by: s, filters: make([]*subscribed, len(steps))}
	r.sender = sent
	for i := range steps {
		st := steps[i]
		st.request = r
		f := s.filters[st.options.Filter]
		sent.filters[i] = f
		f.steps = append(f.steps, st)
	}
	s.open++
	if err := s.client.Request(r); err != nil {
		r.Err = err
		s.requestEnded(r, sent.filters)
	}
}

// sendChanges unsubscribes unwanted filters and subscribes again to those whose
// options have changed.
func (s *Subscriptions) sendChanges() {
	list := s.changed
	s.changed = nil
	var gone []*subscribed
	for _, f := range list {
		f.changed = false
		what, options := f.expected()
		switch {
		case f.wanted():
			s.endLeaves(f)
			s.follow(f, what, options)
		case what != hasNot:
			gone = append(gone, f)
		case f.absent():
			s.drop(f)
		}
	}
	s.unsubscribe(gone)
}

// drop removes a filter that is not wanted and that is absent.
func (s *Subscriptions) drop(f *subscribed) {
	s.endLeaves(f)
	if len(f.asks) == 0 && len(f.elsewhere) == 0 && s.filters[f.name] == f {
		delete(s.filters, f.name)
		s.all.remove(f)
	}
}

// follow subscribes to f again if its merged options have changed. Before 5.0 that
// would bring retained messages again, so the options stay, and the receivers of the
// messages drop what is too much.
func (s *Subscriptions) follow(f *subscribed, what standing, options wire.SubscribeFilter) {
	want := s.merged(f)
	want.RetainHandling = options.RetainHandling
	if what != has || want == options || s.link.Version < wire.V5 || s.hasDue(f) {
		return
	}
	want.RetainHandling = wire.DontSendRetained
	b := batch{packet: wire.Subscribe{Filters: []wire.SubscribeFilter{want}}, steps: []step{{options: want, follows: true}}}
	if ids := f.asks[0].interest.SubscriptionIDs; ids != nil && !s.link.Limits.NoSubscriptionIDs {
		b.packet.SubscriptionID = ids[f.asks[0].at]
	}
	s.sendBatch(&b)
}

func (s *Subscriptions) hasDue(f *subscribed) bool {
	return f.tally.due > 0
}

// unsubscribe ends unwanted filters. Filters that are ended with different user
// properties go into separate packets.
func (s *Subscriptions) unsubscribe(gone []*subscribed) {
	var parts [][]*subscribed
	of := make(map[string]int) // index in parts
	for _, f := range gone {
		key := propertiesKey(f.leaveProperties())
		i, there := of[key]
		if !there {
			i = len(parts)
			of[key], parts = i, append(parts, nil)
		}
		parts[i] = append(parts[i], f)
	}
	for _, part := range parts {
		s.sendUnsubscribe(part, part[0].leaveProperties())
	}
}

// propertiesKey is the same for equal lists alone.
func propertiesKey(list []wire.UserProperty) string {
	var key []byte
	for _, p := range list {
		key = strconv.AppendQuote(key, p.Name)
		key = strconv.AppendQuote(key, p.Value)
	}
	return string(key)
}

// leaveProperties returns the user properties of the leaves that wait for f.
func (f *subscribed) leaveProperties() []wire.UserProperty {
	for _, l := range f.leaves {
		if l.UserProperties != nil {
			return l.UserProperties
		}
	}
	return nil
}

func (s *Subscriptions) sendUnsubscribe(part []*subscribed, properties []wire.UserProperty) {
	p := &wire.Unsubscribe{}
	if s.link.Version == wire.V5 {
		p.UserProperties = properties
	}
	steps := make([]step, len(part))
	for i, f := range part {
		p.Filters = append(p.Filters, f.name)
		steps[i] = step{options: wire.SubscribeFilter{Filter: f.name}, leave: true}
		for _, l := range f.leaves {
			l.sent = true
		}
	}
	for _, packet := range s.client.SplitUnsubscribe(p, s.most) {
		n := len(packet.Filters)
		s.request(&Request{Unsubscribe: packet}, steps[:n:n])
		steps = steps[n:]
	}
}
