package session

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// Subscriptions makes the filters that a server has equal to those that are wanted.
// It keeps both sets, and computes the difference on every change, every answer
// and every new connection; what differs is sent with SUBSCRIBE and UNSUBSCRIBE.
// So it does not matter in which order things happen: no filter that is wanted is
// missing in the end, and none stays that nobody wants.
type Subscriptions struct {
	client requestSender
	link   *Link // of the client: what the server allows
	always bool  // see ClientSettings.AlwaysSubscribe
	most   int   // see ClientSettings.FiltersPerSubscribe
	ready  bool  // the connection takes requests
	open   int   // our requests on this connection without an answer
	server string

	filters   map[string]*subscribed
	all       list[*subscribed] // of filters, in the order in which they were named first
	interests list[*Interest]   // in the order of Add
	due       []*Interest       // have filters to ask for
	changed   []*subscribed

	answers []InterestAnswer
	left    []*Leave
	failed  error // the client is at its end
}

// requestSender is what Subscriptions needs of a client: see the methods of [Client].
type requestSender interface {
	Request(r *Request) error
	SplitSubscribe(p *wire.Subscribe, most int) []*wire.Subscribe
	SplitUnsubscribe(p *wire.Unsubscribe, most int) []*wire.Unsubscribe
}

// Interest is what one subscriber wants of the server. The caller sets the exported
// fields and leaves them alone from [Subscriptions.Add] on.
type Interest struct {
	Filters []wire.SubscribeFilter // at least one, all different
	// SubscriptionIDs are the identifiers to subscribe with, one for each filter, where
	// the server has them. Interests in the same filter give the same one. If nil, there are none.
	SubscriptionIDs []uint32
	UserProperties  []wire.UserProperty
	Owner           any // the caller's own; the engine does not look at it

	asks       []ask
	sent       bool // to a connection at least once, in part at least
	due        bool // is in Subscriptions.due
	unanswered int
	listed[*Interest]
}

// Sent reports whether SUBSCRIBE was sent for at least one of the filters.
func (in *Interest) Sent() bool { return in.sent }

// InterestAnswer is how the server has answered all filters of an Interest, which
// happens again when they are renewed.
type InterestAnswer struct {
	Interest *Interest
	Answers  []FilterAnswer // one for each filter; nil when Err is set
	// Err says why the filters could not be asked for: the first limit of the server
	// that they break. The Interest is removed then.
	Err error
}

// FilterAnswer is what the server said of one filter.
type FilterAnswer struct {
	ReasonCode     wire.ReasonCode
	ReasonString   string
	UserProperties []wire.UserProperty
	// Err is [ErrUndeliverable], with how it did so, if the server has not answered but
	// ended the connection again and again. The filter is not asked for any more.
	Err error
}

// ask is the interest of one subscriber in one filter.
type ask struct {
	interest *Interest
	at       int // which of its filters
	filter   *subscribed
	state    askState
	granted  bool // at least once, so that its retained messages have come
	answer   FilterAnswer
}

type askState uint8

const (
	askDue       askState = iota // SUBSCRIBE has to be sent
	askSent                      // and has no answer yet
	askGranted                   // by the session of this connection
	askRefused                   // by it; the filter counts as not wanted
	askWithdrawn                 // nor does it from now on
)

// wants says that the filter is wanted, as far as this subscriber is concerned.
func (a *ask) wants() bool { return a.state < askRefused }

func (a *ask) want() *wire.SubscribeFilter { return &a.interest.Filters[a.at] }

// subscribed is one filter: who wants it and what the server may have.
type subscribed struct {
	name      string
	asks      []*ask
	has       standing
	options   wire.SubscribeFilter // if the server has it: with these
	steps     []step               // sent on this connection and not answered, in order
	elsewhere []string             // servers that may have it besides that of this connection
	leaves    []*Leave             // who waits for its end
	changed   bool                 // is in Subscriptions.changed
	listed[*subscribed]
}

// standing is what a server has of a filter.
type standing uint8

const (
	hasNot standing = iota
	mayHave
	has
)

// step is one SUBSCRIBE or UNSUBSCRIBE that names a filter.
type step struct {
	request  *Request
	asks     []*ask // that it answers; empty for UNSUBSCRIBE and for changed options
	options  wire.SubscribeFilter
	leave    bool // UNSUBSCRIBE
	follows  bool // changes the options only
	answered bool
	refused  bool
}

// wanted says that somebody wants the filter whom the server has not refused.
func (f *subscribed) wanted() bool {
	return slices.ContainsFunc(f.asks, (*ask).wants)
}

// merged returns the options that serve all who want the filter: a server keeps one
// set for each, the last one sent.
func (f *subscribed) merged() wire.SubscribeFilter {
	m := wire.SubscribeFilter{Filter: f.name, NoLocal: true}
	for _, a := range f.asks {
		if o := a.want(); a.wants() {
			m.QoS = max(m.QoS, o.QoS)
			m.NoLocal = m.NoLocal && o.NoLocal
			m.RetainAsPublished = m.RetainAsPublished || o.RetainAsPublished
		}
	}
	return m
}

// merged returns the options that f is subscribed with on this connection. A server must
// grant no more than its maximum, and take requests for more [MQTT-3.2.2-9], but some never
// answer them.
func (s *Subscriptions) merged(f *subscribed) wire.SubscribeFilter {
	m := f.merged()
	m.QoS = min(m.QoS, s.link.Limits.MaximumQoS)
	return m
}

// expected returns what the server has when it has answered everything.
func (f *subscribed) expected() (standing, wire.SubscribeFilter) {
	if n := len(f.steps); n > 0 {
		if last := f.steps[n-1]; last.leave {
			return hasNot, wire.SubscribeFilter{}
		} else if !last.refused {
			return has, last.options
		}
	}
	return f.has, f.options
}

// Add begins an interest. SUBSCRIBE goes out at once on a connection, and again on
// the next ones as continuity asks for; see [Subscriptions.Answers].
func (s *Subscriptions) Add(in *Interest) {
	in.asks = make([]ask, len(in.Filters))
	in.sent, in.unanswered = false, len(in.Filters)
	s.interests.push(in)
	for i := range in.Filters {
		f := s.filter(in.Filters[i].Filter)
		in.asks[i] = ask{interest: in, at: i, filter: f}
		f.asks = append(f.asks, &in.asks[i])
		s.endLeaves(f)
	}
	s.markDue(in)
	s.Pump()
}

// Remove ends an interest. The filters that nobody wants any more are unsubscribed,
// and the options of others follow. The result, nil if there is nothing to wait for,
// comes back from [Subscriptions.Left] when the server has answered. With keep the
// filters stay on the server for a later interest, in this process or the next.
// Removing what is not there does nothing.
func (s *Subscriptions) Remove(in *Interest, keep bool) *Leave {
	if !in.in || s.failed != nil {
		return nil
	}
	s.interests.remove(in)
	leave := new(Leave)
	for i := range in.asks {
		a := &in.asks[i]
		f := a.filter
		f.asks = slices.DeleteFunc(f.asks, func(o *ask) bool { return o == a })
		for j := range f.steps {
			f.steps[j].asks = slices.DeleteFunc(f.steps[j].asks, func(o *ask) bool { return o == a })
		}
		if keep {
			s.abandon(f)
			continue
		}
		if what, _ := f.expected(); !f.wanted() && (what != hasNot || len(f.steps) > 0) {
			leave.join(f)
		}
		s.markChanged(f)
	}
	s.Pump()
	if leave.open == 0 && leave.Err == nil {
		return nil
	}
	return leave
}

// abandon forgets a filter that nobody wants, and leaves it to the server.
func (s *Subscriptions) abandon(f *subscribed) {
	if len(f.asks) == 0 && len(f.leaves) == 0 {
		f.has, f.steps, f.elsewhere = hasNot, nil, nil
	}
	s.markChanged(f)
}

// Unsubscribe ends filters that the server may have although no interest does: those
// of an earlier process. Those that an interest has are left out.
func (s *Subscriptions) Unsubscribe(filters []string, properties []wire.UserProperty) *Leave {
	leave := &Leave{UserProperties: properties, Err: s.failed}
	for _, name := range filters {
		if s.failed != nil {
			break
		}
		f := s.filter(name)
		if f.wanted() {
			continue
		}
		if what, _ := f.expected(); what == hasNot && len(f.steps) == 0 {
			f.has = mayHave
		}
		leave.join(f)
		s.markChanged(f)
	}
	s.Pump()
	s.endLeave(leave)
	return leave
}

// Answers appends the answers since the last call to dst.
func (s *Subscriptions) Answers(dst []InterestAnswer) []InterestAnswer {
	dst = append(dst, s.answers...)
	s.answers = nil
	return dst
}

// Left appends the leaves that ended since the last call to dst.
func (s *Subscriptions) Left(dst []*Leave) []*Leave {
	dst = append(dst, s.left...)
	s.left = nil
	return dst
}

// Fail ends every leave, and those to come, with err, and forgets all filters: the
// client is at its end.
func (s *Subscriptions) Fail(err error) {
	for f := s.all.head; f != nil; f = f.next {
		for _, l := range f.leaves {
			l.Err = err
			l.open--
			s.endLeave(l)
		}
	}
	*s = Subscriptions{client: s.client, link: s.link, always: s.always, most: s.most, answers: s.answers, left: s.left, failed: err}
}

// filter returns the entry of a filter, made if need be.
func (s *Subscriptions) filter(name string) *subscribed {
	f := s.filters[name]
	if f == nil {
		f = &subscribed{name: name}
		if s.filters == nil {
			s.filters = make(map[string]*subscribed)
		}
		s.filters[name] = f
		s.all.push(f)
	}
	return f
}

// markChanged notes that the difference for f has to be computed.
func (s *Subscriptions) markChanged(f *subscribed) {
	if !f.changed {
		f.changed = true
		s.changed = append(s.changed, f)
	}
}

// markDue notes that in has filters to ask for.
func (s *Subscriptions) markDue(in *Interest) {
	if !in.due {
		in.due = true
		s.due = append(s.due, in)
	}
}
