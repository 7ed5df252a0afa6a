package mqtt

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// subscribeCall is what a Subscription asks of the server: at first, where
// somebody waits for it, or when it is renewed on a later connection. It takes as
// many SUBSCRIBEs as the limits of the connection ask for. What is not answered
// is sent again on every connection.
type subscribeCall struct {
	sub   *Subscription
	first bool

	// Guarded by Client.mu.
	epoch     uint64 // of the connection that it was last sent on
	sent      bool
	abandoned bool
	answers   []subscribeAnswer // by filter

	once   sync.Once // finish
	partly bool      // set before done is closed, as is err
	err    error
	done   chan struct{}
}

// subscribeAnswer is what the server said about one filter.
type subscribeAnswer struct {
	code ReasonCode
	ack  *session.Request // the SUBSCRIBE with its answer; nil: none yet
}

// subscribePart is one SUBSCRIBE of a call.
type subscribePart struct {
	call *subscribeCall
	at   []int // which filters of the Subscription it names
}

func (p *subscribePart) answer(q *session.Request) { p.call.answer(p.at, q) }

// send hands the request to the engine. Without a connection it does nothing:
// the next connection sends it. Called with Client.mu held.
func (r *subscribeCall) send(engine *session.Client) {
	c := r.sub.client
	if r.abandoned || r.epoch == c.epoch {
		return
	}
	if !engine.Connected() {
		if c.ending != nil {
			c.refused = append(c.refused, refusal{r, c.ending})
		}
		return
	}
	if !engine.Connack().SessionPresent {
		for i, a := range r.answers { // of a session that is gone
			if a.ack != nil && a.ack.Err == nil { // what is undeliverable stays so
				r.answers[i] = subscribeAnswer{}
			}
		}
	}
	list := r.requests(engine)
	for _, q := range list {
		if len(list) == 1 {
			break // Request checks it
		}
		if err := engine.Check(q); err != nil {
			c.refused = append(c.refused, refusal{r, err})
			return
		}
	}
	for _, q := range list {
		if err := engine.Request(q); err != nil {
			c.refused = append(c.refused, refusal{r, err})
			return
		}
		r.sent, r.epoch = true, c.epoch
	}
}

// requests returns the SUBSCRIBEs for the filters that have no answer.
func (r *subscribeCall) requests(engine *session.Client) (list []*session.Request) {
	c := r.sub.client
	p := c.router.subscribePacket(r.sub, engine)
	if r.answers == nil {
		r.answers = make([]subscribeAnswer, len(p.Filters))
	}
	open := make([]int, 0, len(p.Filters))
	filters := make([]Filter, 0, len(p.Filters))
	for i, a := range r.answers {
		if a.ack == nil {
			open, filters = append(open, i), append(filters, p.Filters[i])
		}
	}
	p.Filters = filters
	for _, part := range engine.SplitSubscribe(p, c.cfg.FiltersPerSubscribe) {
		n := len(part.Filters)
		list = append(list, &session.Request{Subscribe: part, Owner: &subscribePart{r, open[:n]}})
		open = open[n:]
	}
	return list
}

// conclude ends the call without an answer.
func (r *subscribeCall) conclude(err error) {
	c := r.sub.client
	c.mu.Lock()
	sent := r.sent
	c.mu.Unlock()
	if unused := r.finish(nil, err, false); sent {
		c.unsubscribeLater(unused) // the server may know of some
	}
}

// refusal is a SUBSCRIBE or UNSUBSCRIBE that ends without having been sent.
type refusal struct {
	call interface{ conclude(error) }
	err  error
}

// answer takes the SUBACK for the filters at. When none comes because the
// connection is lost, the next one sends the request again.
func (r *subscribeCall) answer(at []int, q *session.Request) {
	codes := q.ReasonCodes
	switch {
	case errors.Is(q.Err, ErrUndeliverable):
		codes = slices.Repeat([]ReasonCode{refusalCode(q.Err)}, len(at))
	case q.Err != nil:
		return
	}
	c := r.sub.client
	c.mu.Lock()
	for i, code := range codes {
		r.answers[at[i]] = subscribeAnswer{code, q}
	}
	answers := r.answers
	c.mu.Unlock()
	if !slices.ContainsFunc(answers, func(a subscribeAnswer) bool { return a.ack == nil }) {
		r.judge(answers)
	}
}

// refusalCode is what Granted has of a filter that is undeliverable because of err.
func refusalCode(err error) ReasonCode {
	if said, ok := errors.AsType[*ServerError](err); ok && said.ReasonCode.Failed() {
		return said.ReasonCode
	}
	return UnspecifiedError
}

// judge ends the call when all filters are answered.
func (r *subscribeCall) judge(answers []subscribeAnswer) {
	acks := make([]Ack, len(answers))
	var err error
	failed := 0
	for i, a := range answers {
		acks[i] = Ack{a.code, a.ack.ReasonString, a.ack.UserProperties}
		if !a.code.Failed() {
			continue
		}
		if failed == 0 {
			err = a.ack.Err
			if err == nil {
				err = &ServerError{Packet: wire.TypeSuback, ReasonCode: a.code, ReasonString: a.ack.ReasonString, UserProperties: a.ack.UserProperties}
			}
			err = fmt.Errorf("filter %.80q: %w", r.sub.options.Filters[i].Filter, err)
		}
		failed++
	}
	r.finish(acks, err, failed > 0 && failed < len(acks))
}

// finish ends the call; a Subscription of which nothing was granted ends too. It
// returns the filters that nobody wants any more then.
func (r *subscribeCall) finish(acks []Ack, err error, partly bool) (unused []string) {
	r.once.Do(func() {
		c := r.sub.client
		r.err, r.partly = err, partly
		c.router.granted(r.sub, r, acks)
		if err != nil && !partly {
			unused = c.router.remove(r.sub)
			r.sub.refused(err, r.first)
		}
		if err != nil && !r.first {
			c.watchers.send(Event{State: c.State(), Err: err, Subscription: r.sub})
		}
		r.sub.queue.begin()
		close(r.done)
	})
	return unused
}
