package broker

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// examination holds the answers of the hooks about one session, for one state of the
// rules.
type examination struct {
	hub          *hub
	client       *client
	conn         connection
	peer         *Peer
	epoch, rules uint64

	subscriptions []*subscription
	readable      match.Tree[*subscription] // the filters that are allowed
	shared        map[string]bool           // whether shared subscriptions are allowed, by their whole filter
	whole         bool                      // all filters are allowed
	broken        bool                      // a hook has panicked
}

// examine asks the hooks about cl until there is nothing left to ask.
func (h *hub) examine(cl *client) {
	for {
		x := h.beginExamination(cl)
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

// beginExamination returns the examination to do, or nil if there is nothing to ask.
func (h *hub) beginExamination(cl *client) *examination {
	h.mu.RLock()
	defer h.mu.RUnlock()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	r := &cl.rights
	if cl.conn == nil || cl.conn.failing() || cl.gone || h.ctx.Err() != nil {
		r.looking = false
		return nil
	}
	rules := h.rules()
	if r.known && r.rules == rules {
		if r.narrow == nil || r.passed >= cl.sender.LastSeq() {
			r.looking = false
			return nil
		}
		return r.narrow
	}
	x := &examination{
		hub: h, client: cl, conn: cl.conn, peer: cl.seen.peer, epoch: r.epoch, rules: rules,
		subscriptions: make([]*subscription, 0, len(cl.subscriptions)), shared: make(map[string]bool), whole: true,
	}
	for _, s := range cl.subscriptions {
		x.subscriptions = append(x.subscriptions, s)
	}
	return x
}

// isCurrentLocked reports whether the answers are still valid. Called with client.mu
// held.
func (x *examination) isCurrentLocked() bool {
	cl := x.client
	if x.broken {
		x.conn.fail(&refusal{code: wire.ImplementationSpecificError, text: brokenText})
		return false
	}
	// The answers of a hook whose context has ended mean nothing.
	return cl.conn == x.conn && !cl.gone && cl.rights.epoch == x.epoch && x.hub.rules() == x.rules && x.hub.ctx.Err() == nil
}

// ask returns the decision of the hooks about a filter or topic.
func (x *examination) ask(topic string, qos wire.QoS) Decision {
	d := x.hub.hooks.authorize(&Access{Peer: x.peer, Action: SubscribeAction, Topic: topic, QoS: qos})
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
	if !x.isCurrentLocked() {
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

// lookLength is how many messages are examined together.
const lookLength = 1024

// askAboutQueue asks about the next messages that wait. It returns false if none is
// left, or if everything has to be asked again.
func (x *examination) askAboutQueue() bool {
	cl := x.client
	cl.mu.Lock()
	if !x.isCurrentLocked() {
		cl.mu.Unlock()
		return false
	}
	waiting := cl.sender.Withheld(nil, cl.rights.passed, lookLength)
	if len(waiting) == 0 {
		x.openGateLocked()
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
	if !x.isCurrentLocked() {
		cl.mu.Unlock()
		return false
	}
	idle := cl.link.Pending() == 0
	var left []orphan
	if len(denied) > 0 {
		left = cl.withdrawDeniedLocked(denied)
	}
	cl.rights.passed = last
	cl.pumpLocked(&r, idle, now)
	cl.mu.Unlock()
	x.hub.counts.denied.Add(uint64(len(denied) - len(left)))
	x.hub.passOn(left, &r, now, nil)
	r.flush()
	return true
}

// openGateLocked opens the gate for all present messages, and for future ones if
// every filter is allowed. Called with client.mu held.
func (x *examination) openGateLocked() {
	cl := x.client
	if cl.rights.passed = cl.sender.LastSeq(); x.whole {
		cl.rights.passed, cl.rights.narrow = session.GateOpen, nil
	}
	var r router
	cl.pumpLocked(&r, cl.link.Pending() == 0, time.Now())
	r.flush()
}

// mayRead reports whether the client may get the message. answers caches the answers
// of the hooks about topics.
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

// withdrawDeniedLocked takes back the denied messages that still wait. It returns
// those that other members of shared subscriptions have to take. A message that the
// client may have got before is completed as if the client had acknowledged it. At
// QoS 2 PUBREL follows: otherwise the client would take the next message under the
// identifier for a repeat. Called with client.mu held.
func (cl *client) withdrawDeniedLocked(denied []*queueEntry) (left []orphan) {
	waiting := make(map[*session.Outgoing]bool)
	for _, o := range cl.sender.Withheld(nil, cl.rights.passed, lookLength) {
		waiting[o] = true
	}
	for _, e := range denied {
		o := &e.out
		switch x, shared := orphaned(o, ""); {
		case !waiting[o]:
			// The exchange has ended meanwhile.
		case cl.sender.Withdraw(o):
			cl.held.drop(e)
			if shared {
				left = append(left, x)
			} else if e.slot != nil {
				cl.hub.persistence.remove(e.slot)
			}
		case o.Publish.QoS == wire.AtLeastOnce:
			_ = cl.sender.Puback(&wire.Puback{PacketID: o.Publish.PacketID})
		case o.Publish.QoS == wire.ExactlyOnce:
			_ = cl.sender.Pubrec(&wire.Pubrec{PacketID: o.Publish.PacketID})
		}
	}
	return left
}
