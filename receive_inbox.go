package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/internal/brief"
	"github.com/seed65a45251/mqtt/session"
)

// inbox is the side of a client that receives. It has what Subscriptions need, so that
// they know the inbox and not the client.
//
// Locks are taken in this order: engine.mu, router.mu, unclaimed.mu, then those of a
// queue and of holds, and that of progress. The methods of inbox take the locks that they
// need. A caller may hold engine.mu only where a method says so or ends in Locked, and
// none of the others. The functions in inboxSettings are called without any of these
// locks.
type inbox struct {
	engine    *engine
	counters  *counters
	router    *router
	holds     *holds
	window    *window
	unclaimed unclaimed
	workers   workers       // behind the channels of consumers
	handlers  handlers      // calls of Handle and Respond
	progress  progress      // of consumers
	filling   atomic.Int32  // batches that wait for more messages
	full      progress      // tells them that the server may send no more, see saturated
	lost      atomic.Uint64 // QoS 0 messages that no consumer has taken at the end
	inboxSettings
}

// inboxSettings are what an inbox has from its client.
type inboxSettings struct {
	logger         *slog.Logger // names the client
	resume         bool         // Config.Resume
	outOfOrder     bool         // Config.AcknowledgeOutOfOrder
	receiveMaximum int

	consuming consuming // nil: there are no hooks for it
	// report sends an event about s to Watch. If s is nil, it is about no Subscription.
	// age is that of a stall.
	report    func(s *Subscription, err error, age time.Duration)
	publisher publisher // of dead letters
	// connected says whether there is a connection.
	connected func() bool
	// refetch makes a new connection, so that the server sends again what it keeps.
	refetch func()
	// subscriptionEnded says that the Subscription of an OwnConnection has ended. With forget the
	// server is to forget the session. On a client for several it does nothing.
	subscriptionEnded func(forget bool)
	// unclaimedExpired says that the time is over to claim what an earlier process has left.
	unclaimedExpired func()
}

// publisher publishes dead letters: the client, or for a Subscription with a connection
// of its own the client that it belongs to.
type publisher interface {
	PublishMessage(context.Context, *Message) error
}

// answer ends the hold on a received message, and acknowledges or refuses the message. The
// error says why the server will not get the answer.
func (b *inbox) answer(id holdID, code ReasonCode, reason string) (held bool, err error) {
	b.engine.do(func(engine *session.Client) {
		var t session.Token
		var due bool
		if t, held, due = b.holds.endLocked(id); !due {
			return
		}
		if err = engine.Receiver.AckWithReason(t, code, reason); err == nil {
			err = b.engine.ending // nothing goes behind DISCONNECT
		}
		if err == nil && code.Failed() {
			b.counters.rejected.Add(1)
		}
	})
	return held, err
}

// outlivesConnection says whether the session outlives the connection.
func (b *inbox) outlivesConnection() bool {
	b.engine.mu.Lock()
	defer b.engine.mu.Unlock()
	return b.engine.KeepsSession()
}

// saturated says that the server may send nothing more at QoS 1 and 2 on this connection
// until something is acknowledged.
func (b *inbox) saturated() (full bool) {
	b.engine.do(func(engine *session.Client) {
		b.holds.handLocked(engine)
		full = engine.Receiver.Full()
	})
	return full
}

// tellSaturated tells batches that wait for more if the server may send nothing more. Whoever
// has handed over messages calls it.
func (b *inbox) tellSaturated() {
	if b.filling.Load() > 0 && b.saturated() {
		b.full.made()
	}
}

// leaveMessage ends the hold a of s on a message of this weight and leaves the message with
// the server. others says that other Subscriptions wait for the message, too, so that it is not
// for s to renounce. The first message that s leaves is reported, and may make the client announce
// a smaller receive maximum. The reader calls it.
func (b *inbox) leaveMessage(s *Subscription, a acknowledger, weight int, others bool) {
	t := a.leaveOnServer()
	lost := false
	b.engine.do(func(engine *session.Client) {
		engine.Receiver.Leave(t)
		lost = !engine.KeepsSession()
	})
	if lost {
		weight = 0 // it does not come again
		s.queue.countLost()
	}
	first, fetch := s.queue.leaveOnServer(t, weight, others && !lost)
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

// leaveOnServer leaves messages with the server that nobody takes.
func (b *inbox) leaveOnServer(tokens []session.Token) {
	if len(tokens) == 0 {
		return
	}
	b.engine.do(func(engine *session.Client) { leaveLocked(engine, tokens) })
}

func leaveLocked(engine *session.Client, tokens []session.Token) {
	for _, t := range tokens {
		engine.Receiver.Leave(t)
	}
}

// reconnected forgets which messages were left with the server: it sends them again on
// a new connection. establishedLocked calls it with engine.mu held.
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

// catchAll lets all messages wait that come before a Subscription could ask for them.
func (b *inbox) catchAll() { b.unclaimed.startWaiting(true, b.expireUnclaimed) }

// expireUnclaimed drops messages that an earlier process has left and that no
// Subscription has claimed in time. A timer calls it.
func (b *inbox) expireUnclaimed() {
	b.unclaimedExpired()
	b.dropUnwanted(b.unclaimed.expired())
	if b.unclaimed.hasSpaceAgain() {
		b.refetch()
	}
}

// dropUnwanted acknowledges and counts messages that match no Subscription
// [MQTT-4.5.0-2].
func (b *inbox) dropUnwanted(unwanted []*Message) {
	if len(unwanted) == 0 {
		return
	}
	b.counters.dropped.unclaimed.Add(uint64(len(unwanted)))
	for _, m := range unwanted {
		m.acknowledger.acknowledge(Success)
	}
	b.reportUnclaimed(unwanted[0].Topic)
}

// reportUnclaimed reports to the log and to Watch messages that an earlier process, or
// the server, wanted and this process does not.
func (b *inbox) reportUnclaimed(topic string) {
	n := b.unclaimed.takeUnreported()
	if n == 0 {
		return
	}
	b.logger.Warn("mqtt messages dropped that nobody has claimed", "messages", n, "topic", brief.Text(topic))
	b.report(nil, fmt.Errorf("%w: %d messages, one of them on topic %.80q, were acknowledged and dropped", ErrUnclaimed, n, topic), 0)
}
