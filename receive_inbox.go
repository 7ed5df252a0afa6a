package mqtt

import (
	"context"
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
	clientID       string
	logger         *slog.Logger
	resume         bool // Config.Resume
	outOfOrder     bool // Config.AcknowledgeOutOfOrder
	receiveMaximum int

	// hooked returns a function for Handle with the hooks around it.
	hooked func(func(context.Context, *Message) error) func(context.Context, *Message) error
	// report tells Watch of s, or of no Subscription if it is nil. age is that of a
	// stall.
	report func(s *Subscription, err error, age time.Duration)
	// refetch makes a new connection, so that the server sends again what it keeps.
	refetch func()
	// served says that the Subscription of an OwnConnection has ended. With forget the
	// server is to forget the session. On a client for several it does nothing.
	served func(forget bool)
}

// newSubscription returns a Subscription that the router does not know yet.
func (b *inbox) newSubscription(k kind, o SubscribeOptions) *Subscription {
	s := &Subscription{inbox: b, kind: k, options: o}
	s.queue.init(&s.options, &b.engine.counters.dropped)
	s.queue.remote.fetch, s.queue.remote.limit = s.fetchLeft, &b.window.mayWait
	s.holds.owner = s
	s.first.done = make(chan struct{})
	return s
}

// acknowledge acknowledges a received message, and says what became of that.
func (b *inbox) acknowledge(t session.Token) (err error) {
	b.engine.do(func(engine *session.Client) {
		if err = engine.Receiver.Ack(t, Success); err == nil {
			err = b.engine.status.err // nobody will tell the server any more
		}
	})
	return err
}
