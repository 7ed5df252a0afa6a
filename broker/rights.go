package broker

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// What a client may read is asked for where it is used: the sender of its session has a
// gate ([session.Sender.SetGate]), through which everything goes that is sent, live,
// queued, retained, passed on or repeated. The gate is open while nothing has changed
// since the subscriptions were looked at. It closes with a change of the rules and a
// login that goes on with the session; then a goroutine of the client asks the hooks,
// without any lock, about its filters and what waits for it, and opens the gate again.
//
// A filter that is not allowed any more as a whole leaves the gate half open: then each
// message is looked at before it is sent.

// authority is what the answers of the authorizers depend on.
type authority struct {
	acls    []*ACL
	changed atomic.Uint64 // counts Reauthorize
}

// rules returns a number that changes when what the authorizers allow has changed.
func (a *authority) rules() uint64 {
	n := a.changed.Load()
	for _, acl := range a.acls {
		n += acl.rules.Load().number
	}
	return n
}

func (a *authority) consists(of []Authorizer) {
	for _, hook := range of {
		if acl, ok := hook.(*ACL); ok {
			a.acls = append(a.acls, acl)
		}
	}
}

// Reauthorize says that what [Config.Authorizers] allow has changed. Before any client
// is sent another message they are asked again about its filters and about what waits
// for it. [ACL.Reload] has the same effect on all brokers that have the [ACL] itself
// among their authorizers.
func (b *Broker) Reauthorize() { b.changed.Add(1) }

// rights are what is known about what a session may be sent. client.mu guards them.
type rights struct {
	epoch   uint64       // counts what makes answers worthless, beside the rules
	rules   uint64       // those that were asked
	known   bool         // the answers are good for rules
	looking bool         // a goroutine asks
	passed  uint64       // the last message that may be sent, by [session.Outgoing.Seq]
	narrow  *examination // some filter is not allowed as a whole; nil: all are
}

// forget makes all answers worthless.
func (r *rights) forget() {
	r.epoch++
	r.known, r.passed, r.narrow = false, 0, nil
}

// guard begins a connection; cl.mu is held.
func (cl *client) guard(resumed bool) {
	if len(cl.b.cfg.Authorizers) == 0 {
		return
	}
	cl.sender.SetGate(cl.passable)
	cl.rights.forget()
	if !resumed {
		// It has neither filters nor messages.
		cl.rights.known, cl.rights.rules, cl.rights.passed = true, cl.b.rules(), session.GateOpen
	}
}

// passable is the gate of the sender. cl.mu is held.
func (cl *client) passable() uint64 {
	r, b := &cl.rights, cl.b
	if !r.known || r.rules != b.rules() {
		r.known, r.passed, r.narrow = false, 0, nil
	} else if r.narrow == nil && r.passed == session.GateOpen {
		return session.GateOpen
	} else if r.passed >= cl.sender.LastSeq() {
		return r.passed // nothing waits
	}
	if !r.looking && cl.conn != nil && !cl.conn.failing() && b.ctx.Err() == nil {
		r.looking = true
		b.routines.Go(func() { b.examine(cl) }) // the connection is one of them, so they have not ended
	}
	return r.passed
}

// suspect is called when a subscription was made that was asked for under the rules
// asked. Broker.mu is held, so that no examination misses it.
func (cl *client) suspect(asked uint64) {
	if len(cl.b.cfg.Authorizers) == 0 {
		return
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	r := &cl.rights
	if !r.known || r.narrow != nil || r.rules != asked || asked != cl.b.rules() {
		r.forget()
	}
}

// examination is what the hooks say about one session, for one state of the rules.
type examination struct {
	b            *hub
	client       *client
	conn         connection
	peer         *Peer
	epoch, rules uint64

	subscriptions []*subscription
	readable      match.Tree[*subscription] // filters that are allowed
	shared        map[string]bool           // whether shared subscriptions are, by their whole filter
	whole         bool                      // all are
	broken        bool                      // a hook has panicked
}

// examine asks until nothing of cl is left to ask about.
func (b *hub) examine(cl *client) {
	for {
		x := b.beginExamination(cl)
		if x == nil {
			return
		}
		if x.subscriptions != nil && !x.askAboutFilters() {
			continue
		}
		for x.askAboutQueue() {
		}
	}
}

// beginExamination returns what is to be looked at, or nil.
func (b *hub) beginExamination(cl *client) *examination {
	b.mu.RLock()
	defer b.mu.RUnlock()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	r := &cl.rights
	if cl.conn == nil || cl.conn.failing() || cl.gone || b.ctx.Err() != nil {
		r.looking = false
		return nil
	}
	rules := b.rules()
	if r.known && r.rules == rules {
		if r.narrow == nil || r.passed >= cl.sender.LastSeq() {
			r.looking = false
			return nil
		}
		return r.narrow
	}
	x := &examination{
		b: b, client: cl, conn: cl.conn, peer: cl.seen.peer, epoch: r.epoch, rules: rules,
		subscriptions: make([]*subscription, 0, len(cl.subscriptions)), shared: make(map[string]bool), whole: true,
	}
	for _, s := range cl.subscriptions {
		x.subscriptions = append(x.subscriptions, s)
	}
	return x
}

// current reports whether the answers are still good for something; cl.mu is held.
func (x *examination) current() bool {
	cl := x.client
	if x.broken {
		x.conn.fail(&refusal{code: wire.ImplementationSpecificError, text: brokenText})
		return false
	}
	// A hook whose context has ended knows nothing about rights.
	return cl.conn == x.conn && !cl.gone && cl.rights.epoch == x.epoch && x.b.rules() == x.rules && x.b.ctx.Err() == nil
}

// ask returns what the hooks say about a filter or topic.
func (x *examination) ask(topic string, qos wire.QoS) Decision {
	d := x.b.hooks.authorize(&Access{Peer: x.peer, Action: SubscribeAction, Topic: topic, QoS: qos})
	x.broken = x.broken || d.broken
	return d
}

// askAboutFilters asks about all subscriptions. It returns false if it has to be done
// again.
func (x *examination) askAboutFilters() bool {
	limits := make([]uint64, len(x.subscriptions))
	for i, s := range x.subscriptions {
		d := x.ask(s.filter, s.qos)
		if d.verdict != allowed {
			limits[i], x.whole = nothing, false
			continue
		}
		limits[i] = uint64(d.qos) + 1
		if s.group == nil {
			x.readable.Insert(s.filter, s)
		}
	}
	cl := x.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if !x.current() {
		return false
	}
	for i, s := range x.subscriptions {
		s.limit.Store(x.rules<<limitBits | limits[i])
		if s.group != nil {
			x.shared[s.whole] = limits[i] != nothing
		}
	}
	x.subscriptions = nil
	r := &cl.rights
	r.known, r.rules, r.passed, r.narrow = true, x.rules, 0, x
	return true
}

// lookLength is how many messages are looked at together.
const lookLength = 1024

// askAboutQueue asks about the next messages that wait. It returns false when there are
// none, or everything has to be asked again.
func (x *examination) askAboutQueue() bool {
	cl := x.client
	cl.mu.Lock()
	if !x.current() {
		cl.mu.Unlock()
		return false
	}
	waiting := cl.sender.Withheld(nil, cl.rights.passed, lookLength)
	if len(waiting) == 0 {
		x.open()
		cl.mu.Unlock()
		return false
	}
	entries := make([]*queueEntry, len(waiting))
	for i, o := range waiting {
		entries[i] = o.Owner.(*queueEntry)
	}
	last := waiting[len(waiting)-1].Seq()
	cl.mu.Unlock()

	answers := make(map[string]bool)
	denied := slices.DeleteFunc(entries, func(e *queueEntry) bool { return x.mayRead(e, answers) })

	var r router
	now := time.Now()
	cl.mu.Lock()
	if !x.current() {
		cl.mu.Unlock()
		return false
	}
	idle := cl.link.Pending() == 0
	var left []orphan
	if len(denied) > 0 {
		left = cl.withhold(denied)
	}
	cl.rights.passed = last
	cl.pumpLocked(&r, idle, now)
	cl.mu.Unlock()
	x.b.counts.denied.Add(uint64(len(denied) - len(left)))
	x.b.passOnLost(left, &r, now, nil)
	r.flush()
	return true
}

// open lets through all that there is, and what comes if every filter is allowed; cl.mu
// is held.
func (x *examination) open() {
	cl := x.client
	if cl.rights.passed = cl.sender.LastSeq(); x.whole {
		cl.rights.passed, cl.rights.narrow = session.GateOpen, nil
	}
	var r router
	cl.pumpLocked(&r, cl.link.Pending() == 0, time.Now())
	r.flush()
}

// pumpLocked sends what may be sent now. idle says that nothing was to be written before.
func (cl *client) pumpLocked(r *router, idle bool, now time.Time) {
	cl.sender.Pump(now)
	cl.settle(&cl.b.counts)
	cl.rouseLocked(idle, r)
}

// mayRead reports whether the client may be sent the message. answers are those of the
// hooks about topics.
func (x *examination) mayRead(e *queueEntry, answers map[string]bool) bool {
	if allowed, has := x.shared[e.group.name()]; has {
		return allowed
	}
	topic := e.message.publish.Topic
	may, asked := answers[topic]
	if !asked {
		may = x.ask(topic, e.message.publish.QoS).verdict == allowed || len(x.readable.Append(nil, topic)) > 0
		answers[topic] = may
	}
	return may
}

// withhold takes back messages that the client may not be sent, as far as they are still
// waiting. It returns those that other members of shared subscriptions have to take.
// What the client may have got before is ended as if it had said so: at QoS 2 with
// PUBREL, or it would take the next message under the identifier for a repeat. cl.mu is
// held.
func (cl *client) withhold(denied []*queueEntry) (left []orphan) {
	waiting := make(map[*session.Outgoing]bool)
	for _, o := range cl.sender.Withheld(nil, cl.rights.passed, lookLength) {
		waiting[o] = true
	}
	for _, e := range denied {
		o := &e.out
		switch x, shared := orphaned(o, ""); {
		case !waiting[o]:
			// It is over.
		case cl.sender.Withdraw(o):
			cl.held.drop(e)
			if shared {
				left = append(left, x)
			} else if e.slot != nil {
				cl.b.persistence.remove(e.slot)
			}
		case o.Publish.QoS == wire.AtLeastOnce:
			_ = cl.sender.Puback(&wire.Puback{PacketID: o.Publish.PacketID})
		case o.Publish.QoS == wire.ExactlyOnce:
			_ = cl.sender.Pubrec(&wire.Pubrec{PacketID: o.Publish.PacketID})
		}
	}
	return left
}

// The limit of a subscription is 0 if nobody has looked at it again, else the QoS that is
// allowed and 1, or nothing; and above that the rules.
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

// isBarred reports whether s is not allowed any more. Under other rules than those that
// it was looked at it may be.
func (s *subscription) isBarred() bool {
	limit := s.limit.Load()
	return limit&nothing == nothing && limit>>limitBits == s.client.b.rules()
}
