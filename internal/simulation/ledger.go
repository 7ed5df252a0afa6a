package simulation

import (
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/internal/durable"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// message is what a program has published.
type message struct {
	payload, topic string
	qos            wire.QoS
	by             *device // nil: the server's own program
	number         int     // in the order of publishing

	outgoing  *session.Outgoing
	entry     *durable.Entry
	notStored bool  // the program does not want it stored
	durable   bool  // it goes to the Store
	accepted  bool  // the program knows that it will be sent
	refusal   error // the Store has refused it
	again     bool  // it had ended, and the end was not on the disk when the process did
	recovered bool  // a later process has it: it may have been sent
	sent      bool  // the engine has written it at least once
	written   bool  // and it was written to a connection
	exposed   bool  // a session that was not proven may have brought it twice
	exempt    bool  // a server went back to an older save meanwhile
	orphaned  bool  // its process died without a result
	withdrawn bool
	refused   bool // a server has refused it
	ended     int  // how often the engine gave it back
	endedIn   int  // the commit that says so
	err       error
	came      int // how often a server passed it on
}

// delivery is a message on its way from one session of a server to its client.
type delivery struct {
	*message
	text    string // the payload on this way: every copy is told from the others
	qos     wire.QoS
	id      uint32 // subscription identifier
	to      *device
	from    *keep
	queued  int    // numbers the deliveries of a session
	exposed bool   // it may come twice
	exempt  bool   // the server went back to an older save: anything may become of it
	lost    bool   // the session is gone
	got     int    // how often the program got it
	acked   bool   // the program has acknowledged it in this process
	ackedAt uint64 // what has to be committed for the next process to know
	turn    uint32 // the number of its exchange, which is the same in every process
	ever    bool   // or in an earlier one
}

// ledger knows what was published and where it arrived. What goes wrong first is its fault.
type ledger struct {
	fault      error
	messages   []*message
	byPayload  map[string]*message
	deliveries []*delivery
	passed     map[passage]int // the number of the last message that came for the first time
}

// passage is a stream of messages whose order is kept.
type passage struct {
	from, to any
	topic    string
	qos      wire.QoS
}

func (l *ledger) fail(format string, args ...any) {
	if l.fault == nil {
		l.fault = fmt.Errorf(format, args...)
	}
}

func (l *ledger) publish(m *message) {
	m.number = len(l.messages) + 1
	l.messages = append(l.messages, m)
	l.byPayload[m.payload] = m
}

// came notes that a server has passed m on. At QoS 0 what was in flight to one server may
// arrive after what went to the next.
func (l *ledger) came(m *message, at *server) {
	m.came++
	if m.came > 1 || m.by == nil || m.orphaned || m.exempt || m.err != nil || m.exposed && at.Late {
		return // the last: what an older session holds goes out when its identifier is released
	}
	p := passage{m.by, nil, m.topic, m.qos}
	if m.qos == wire.AtMostOnce {
		p.to = at
	}
	l.inOrder(p, m.number, m.payload)
}

func (l *ledger) inOrder(p passage, number int, payload string) {
	if last := l.passed[p]; last > number {
		l.fail("order: %s came after message %d, which was published later", payload, last)
	}
	l.passed[p] = number
}

// ended notes the result of m.
func (l *ledger) ended(m *message, err error) {
	m.ended++
	m.err = err
	switch {
	case m.ended > 1:
		l.fail("%s ended twice", m.payload)
	case m.withdrawn && (err == nil || !errors.Is(err, m.refusal)):
		l.fail("%s ended after it was taken back", m.payload)
	case err == nil && !m.accepted:
		l.fail("%s was acknowledged before it was accepted", m.payload)
	case err == nil:
		if m.qos > 0 && m.came == 0 && !m.exempt {
			l.fail("lost: %s was acknowledged and has arrived nowhere", m.payload)
		}
	case !m.mayFail(err):
		l.fail("%s failed without a reason: %w", m.payload, err)
	}
}

// mayFail says whether err is one of the documented ends of m.
func (m *message) mayFail(err error) bool {
	if _, limit := errors.AsType[*session.LimitError](err); limit {
		return m.by.w.shrunk(m)
	}
	switch {
	case m.refusal != nil && errors.Is(err, m.refusal):
		return true
	case errors.Is(err, session.ErrConnectionLost):
		return m.qos == 0
	case errors.Is(err, session.ErrSessionLost):
		return m.by.w.schedule.Setup.FailLost && (m.exposed || m.exempt)
	case errors.Is(err, session.ErrUndeliverable):
		return m.topic == "poison" || m.by.w.hangups >= 10
	case errors.Is(err, wire.PacketIdentifierNotFound):
		return m.exposed || m.exempt
	case errors.Is(err, wire.NotAuthorized):
		return m.refused
	}
	return false
}

// hand notes that the program of a client got d.
func (l *ledger) hand(d *delivery) {
	d.got++
	switch {
	case d.exempt:
	case d.got == 1:
		l.inOrder(passage{d.from, d.to, d.topic, d.qos}, d.queued, d.text)
	case d.qos == wire.AtMostOnce:
		l.fail("%s came twice at QoS 0", d.text)
	case d.qos == wire.ExactlyOnce && !d.exposed:
		l.fail("twice: %s was handed over again", d.text)
	}
}

// judge says what is wrong once everything has ended.
func (l *ledger) judge() {
	for _, m := range l.messages {
		switch {
		case m.by == nil || m.orphaned:
		case !m.withdrawn && m.ended != 1:
			l.fail("liveness: %s has no result", m.payload)
		case m.qos == wire.ExactlyOnce && m.came > 1 && !m.exposed && !m.exempt:
			l.fail("twice: %s was passed on %d times", m.payload, m.came)
		case m.qos == wire.AtMostOnce && m.came > 1:
			l.fail("twice: %s was passed on %d times at QoS 0", m.payload, m.came)
		}
	}
	for _, d := range l.deliveries {
		if d.got == 0 && d.qos > 0 && !d.lost && !d.exempt {
			l.fail("lost: %s for client %s was never handed over", d.text, d.to.name)
		}
	}
}
