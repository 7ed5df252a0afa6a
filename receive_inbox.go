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
