package session

import (
	"github.com/seed65a45251/mqtt/wire"
)

// Subscriptions keeps the filters that a server has equal to the filters that are
// wanted. It tracks both sets, and computes the difference on every change, every
// answer and every new connection. SUBSCRIBE and UNSUBSCRIBE then send the
// difference. The order of events therefore does not matter: in the end no wanted
// filter is missing, and no unwanted filter stays.
type Subscriptions struct {
	client requestSender
	link   *Link     // of the client: what the server allows
	always bool      // see ClientSettings.AlwaysSubscribe
	most   int       // see ClientSettings.FiltersPerSubscribe
	ready  bool      // the connection takes requests
	open   int       // our requests on this connection without an answer
	at     SessionID // the session of the present or last connection
	known  bool      // at is set

	filters   map[string]*subscribed
	all       list[*subscribed] // of filters, in the order in which they were named first
	interests list[*Interest]   // in the order of Add
	due       []*Interest       // have filters to ask for
	changed   []*subscribed

	answers []InterestAnswer
	left    []*Leave
	journal Journal // see ClientSettings.Journal
	failed  error   // the client has ended
}

// requestSender is the part of a client that Subscriptions uses: see the methods of
// [Client].
type requestSender interface {
	Request(r *Request) error
	SplitSubscribe(p *wire.Subscribe, most int) []*wire.Subscribe
	SplitUnsubscribe(p *wire.Unsubscribe, most int) []*wire.Unsubscribe
}

// Interest is the filters that one subscriber wants. The caller sets the exported
// fields and does not change them after [Subscriptions.Add].
type Interest struct {
	Filters []wire.SubscribeFilter // at least one, all different
	// SubscriptionIDs are the identifiers to subscribe with, one for each filter, if the
	// server supports them. Interests in the same filter must have the same identifier
	// for it. If nil, there are none.
	SubscriptionIDs []uint32
	UserProperties  []wire.UserProperty
	Owner           any // the caller's own; the engine does not look at it

	asks       []ask
	sent       bool // SUBSCRIBE was sent for at least one filter
	due        bool // is in Subscriptions.due
	unanswered int
	listed[*Interest]
}

// Sent reports whether SUBSCRIBE was sent for at least one of the filters.
func (in *Interest) Sent() bool { return in.sent }

// InterestAnswer is the server's answer for all filters of an Interest. It comes
// again when the filters are renewed.
type InterestAnswer struct {
	Interest *Interest
	Answers  []FilterAnswer // one for each filter; nil when Err is set
	// Err is the first limit of the server that the filters break, so that they could
	// not be asked for. The Interest is removed then.
	Err error
}

// FilterAnswer is the server's answer for one filter.
type FilterAnswer struct {
	ReasonCode     wire.ReasonCode
	ReasonString   string
	UserProperties []wire.UserProperty
	// Err is [ErrUndeliverable], with the cause, if the server has not answered but
	// ended one connection after another. The filter is not asked for any more.
	Err error
}

// ask is the interest of one subscriber in one filter.
type ask struct {
	interest *Interest
	at       int // index of the filter in interest
	filter   *subscribed
	place    int // index in filter.asks
	state    askState
	granted  bool // at least once, so its retained messages have come
	answer   FilterAnswer
}

type askState uint8

const (
	askDue       askState = iota // SUBSCRIBE has to be sent
	askSent                      // SUBSCRIBE was sent and has no answer yet
	askGranted                   // granted by the session of this connection
	askRefused                   // refused by it; the filter counts as not wanted
	askWithdrawn                 // withdrawn; the filter counts as not wanted
)

// wants reports whether this subscriber wants the filter.
func (a *ask) wants() bool { return a.state < askRefused }

func (a *ask) want() *wire.SubscribeFilter { return &a.interest.Filters[a.at] }

// subscribed is one filter: its subscribers, and what the server may have.
type subscribed struct {
	name      string
	asks      []*ask // in no order
	tally     tally  // of asks
	has       standing
	options   wire.SubscribeFilter // the options with which the server has it, if so
	steps     []step               // requests sent on this connection and not answered, in order
	elsewhere []SessionID          // other sessions that may have it
	leaves    []*Leave             // leaves that wait for its end
	changed   bool                 // is in Subscriptions.changed
	busy      int                  // requests in a row that are made again; see Subscriptions.again
	listed[*subscribed]
}

// standing says whether a server has a filter.
type standing uint8

const (
	hasNot standing = iota
	mayHave
	has
)

// step is the part of one SUBSCRIBE or UNSUBSCRIBE that concerns one filter.
type step struct {
	request  *Request
	asks     []*ask // asks that it serves; empty for UNSUBSCRIBE and for changed options
	options  wire.SubscribeFilter
	leave    bool // UNSUBSCRIBE
	follows  bool // changes the options only
	answered bool
	refused  bool
	again    bool // the server said nothing of the filter; see Subscriptions.again
}

// wanted reports whether a subscriber wants the filter and the server has not refused
// it.
func (f *subscribed) wanted() bool {
	return f.tally.wanted > 0
}

// merged returns options that serve all subscribers of the filter: a server keeps
// only one set for a filter, the last one sent.
func (f *subscribed) merged() wire.SubscribeFilter { return f.tally.merged(f.name) }

// merged returns the options for f on this connection. A server must accept requests
// above its maximum QoS and grant the maximum [MQTT-3.2.2-9], but some never answer them.
func (s *Subscriptions) merged(f *subscribed) wire.SubscribeFilter {
	m := f.merged()
	m.QoS = min(m.QoS, s.link.Limits.MaximumQoS)
	return m
}

// expected returns what the server will have when it has answered everything.
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

// absent reports whether the server does not have the filter, and no request under way can
// change that.
func (f *subscribed) absent() bool { return f.has == hasNot && len(f.steps) == 0 }

// Add begins an interest. If there is a connection, SUBSCRIBE goes out at once. It
// goes out again on later connections, depending on the [Continuity]. The answers
// come from [Subscriptions.Answers].
func (s *Subscriptions) Add(in *Interest) {
	in.asks = make([]ask, len(in.Filters))
	in.sent, in.unanswered = false, len(in.Filters)
	s.interests.push(in)
	for i := range in.Filters {
		f := s.filter(in.Filters[i].Filter)
		in.asks[i] = ask{interest: in, at: i, filter: f}
		f.join(&in.asks[i])
		s.noteWanted(f)
		s.endLeaves(f)
	}
	s.markDue(in)
	s.Pump()
}

// Remove ends an interest. Filters that are no longer wanted are unsubscribed, and
// the options of others are adapted. The result comes back from [Subscriptions.Left]
// when the server has answered; it is nil if there is nothing to wait for. If keep is
// set, the filters stay on the server for a later interest, in this process or the
// next. If in is not there, Remove does nothing.
func (s *Subscriptions) Remove(in *Interest, keep bool) *Leave {
	if !in.in || s.failed != nil {
		return nil
	}
	s.interests.remove(in)
	leave := new(Leave)
	for i := range in.asks {
		a := &in.asks[i]
		f := a.filter
		f.part(a)
		if keep {
			s.abandon(f)
			continue
		}
		s.noteWanted(f)
		if !f.wanted() && !f.absent() {
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

// noteWanted tells the journal whether f is wanted.
func (s *Subscriptions) noteWanted(f *subscribed) {
	switch {
	case s.journal == nil:
	case f.wanted():
		s.journal.Subscribed(f.merged())
	default:
		s.journal.Unsubscribed(f.name)
	}
}

// abandon forgets an unwanted filter without unsubscribing.
func (s *Subscriptions) abandon(f *subscribed) {
	if len(f.asks) == 0 && len(f.leaves) == 0 {
		f.has, f.steps, f.elsewhere = hasNot, nil, nil
	}
	s.markChanged(f)
}

// Unsubscribe ends filters that the server may have from an earlier process. Filters
// that an interest wants are left out.
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
		if f.absent() {
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

// Fail says that the client has ended. It ends all leaves, also future ones, with
// err, and forgets all filters.
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

// filter returns the entry of a filter, and makes it if there is none.
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

// markChanged notes that the server's state of f may have to be changed. Without a
// connection f is removed if it is gone.
func (s *Subscriptions) markChanged(f *subscribed) {
	if !s.ready && !f.wanted() && f.absent() {
		s.drop(f)
		return
	}
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
