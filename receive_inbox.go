package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// inbox is the side of a client that receives: it has what Subscriptions need, and they
// know it and not the client.
//
// Locks are taken in this order: engine.mu, router.mu, unclaimed.mu, then those of a
// queue and of holds, which are leaves. Nothing that an inbox was given to call is
// called with one of them held.
type inbox struct {
	engine    *engine
	counters  *counters
	router    *router
	holds     *holds
	window    *window
	unclaimed unclaimed
	workers   workers  // behind the channels of consumers
	handlers  handlers // calls of Handle and Respond
	inboxSettings
}

// inboxSettings are what an inbox has from its client.
type inboxSettings struct {
	logger         *slog.Logger // names the client
	resume         bool         // Config.Resume
	outOfOrder     bool         // Config.AcknowledgeOutOfOrder
	receiveMaximum int

	// hooked returns a function for Handle with the hooks around it.
	hooked func(func(context.Context, *Message) error) func(context.Context, *Message) error
	// report tells Watch of s, or of no Subscription if it is nil. age is that of a
	// stall.
	report func(s *Subscription, err error, age time.Duration)
	// connected says whether there is a connection.
	connected func() bool
	// refetch makes a new connection, so that the server sends again what it keeps.
	refetch func()
	// subscriptionEnded says that the Subscription of an OwnConnection has ended. With forget the
	// server is to forget the session. On a client for several it does nothing.
	subscriptionEnded func(forget bool)
}

// acknowledge acknowledges a received message, and says what became of that.
func (b *inbox) acknowledge(t session.Token) (err error) {
	b.engine.do(func(engine *session.Client) {
		if err = engine.Receiver.Ack(t, Success); err == nil {
			err = b.engine.ended // nobody will tell the server any more
		}
	})
	return err
}

// outlivesConnection says whether the session outlives the connection.
func (b *inbox) outlivesConnection() bool {
	b.engine.mu.Lock()
	defer b.engine.mu.Unlock()
	return b.engine.HasSession()
}

// leaveMessage leaves the message of a for s with the server.
func (b *inbox) leaveMessage(s *Subscription, a acknowledger) {
	t := a.leaveOnServer()
	lost := false
	b.engine.do(func(engine *session.Client) {
		engine.Receiver.Leave(t)
		lost = !engine.HasSession()
	})
	first, fetch := s.queue.leaveOnServer(t)
	if lost {
		s.queue.countLost()
	}
	if first && !lost && s.queue.heavy() {
		b.engine.do(func(engine *session.Client) {
			b.window.narrow(engine.Receiver.Open(), b.receiveMaximum)
		})
	}
	if fetch != nil {
		fetch()
	}
	if !first {
		return
	}
	what := "leaves QoS 1 and 2 messages with the server"
	if lost {
		what = "drops QoS 1 and 2 messages, for the session ends with the connection"
	}
	b.report(s, fmt.Errorf("%w: subscription %.80q %s", ErrQueueFull, s.name(), what), 0)
}

// leaveOnServer tells the engine what stays with the server because nobody has
// claimed it and there is no space.
func (b *inbox) leaveOnServer(tokens []session.Token) {
	if len(tokens) == 0 {
		return
	}
	b.engine.do(func(engine *session.Client) {
		for _, t := range tokens {
			engine.Receiver.Leave(t)
		}
	})
}

// reconnected forgets what was left with the server: a new connection brings it.
func (b *inbox) reconnected() {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	b.router.renewedLocked()
	for _, s := range b.router.allLocked() {
		s.queue.reconnected()
	}
	b.unclaimed.reconnected()
}

// resumed notes that the session is not one of this client alone: it may have
// filters, identifiers and messages of an earlier process.
func (b *inbox) resumed() {
	b.router.mu.Lock()
	defer b.router.mu.Unlock()
	b.router.inherited = true
	b.router.last = shortcut{}
	b.unclaimed.startWaiting(false, b.expireUnclaimed)
}

// catchAll lets everything wait that comes before somebody could ask for it.
func (b *inbox) catchAll() { b.unclaimed.startWaiting(true, b.expireUnclaimed) }

// expireUnclaimed drops what an earlier process has left and nobody has come for.
func (b *inbox) expireUnclaimed() {
	b.dropUnwanted(b.unclaimed.expired())
	if b.unclaimed.hasSpaceAgain() {
		b.refetch()
	}
}

// dropUnwanted acknowledges what nobody wants [MQTT-4.5.0-2].
func (b *inbox) dropUnwanted(unwanted []*Message) {
	if len(unwanted) == 0 {
		return
	}
	b.counters.unclaimed.Add(uint64(len(unwanted)))
	for _, m := range unwanted {
		m.acknowledger.acknowledge(Success)
	}
	b.reportUnclaimed(unwanted[0].Topic)
}

// reportUnclaimed tells of messages that an earlier process, or the server, wanted and
// this process does not.
func (b *inbox) reportUnclaimed(topic string) {
	n := b.unclaimed.takeUnreported()
	if n == 0 {
		return
	}
	b.logger.Warn("mqtt messages dropped that nobody has claimed", "messages", n, "topic", topic)
	b.report(nil, fmt.Errorf("%w: %d messages, one of them on topic %.80q, were acknowledged and dropped", ErrUnclaimed, n, topic), 0)
}

// cut closes the queues of all Subscriptions because of err and waits for the
// goroutines behind their channels. It comes before the end of the client: what nobody
// has taken is not acknowledged and stays with the server, as does what still comes.
func (b *inbox) cut(err error) {
	b.router.mu.Lock()
	if b.router.closed == nil {
		b.router.closed = err
	}
	subs := b.router.allLocked()
	b.unclaimed.stop()
	b.router.mu.Unlock()
	for _, s := range subs {
		releaseAll(s.queue.cutOff(err))
	}
	b.workers.stop()
}

// close ends all Subscriptions because of err, with the client.
func (b *inbox) close(err error) {
	r := b.router
	r.mu.Lock()
	r.closed = err
	subs := r.allLocked()
	r.subs, r.emptying = nil, nil
	b.unclaimed.stop()
	b.unclaimed.forget()
	r.mu.Unlock()
	for _, s := range subs {
		releaseAll(s.queue.cutOff(err))
		s.first.conclude(err, false)
	}
	b.workers.stop()
	b.holds.stop()
}

// afterEnd looks after messages that were read for a Subscription that has ended.
func (b *inbox) afterEnd(s *Subscription, run []item) {
	switch {
	case b.router.isClosed():
		for _, m := range run {
			if m.QoS == AtMostOnce {
				s.queue.giveUp(m)
			} else {
				m.lease.release(1) // it stays with the server
			}
		}
	case b.outlived(s):
		b.giveBackLate(s, run)
	default:
		dismiss(run)
	}
}
