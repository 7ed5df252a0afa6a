// Package broker is a small MQTT server that runs inside a program: for tests,
// for examples, and for deployments that need nothing bigger. It speaks MQTT
// 3.1, 3.1.1 and 5.0 with all three qualities of service, retained messages,
// persistent sessions, wills and shared subscriptions.
//
// A [Broker] holds the sessions, subscriptions and retained messages, in
// memory. Listeners come and go: [Broker.Serve] on any [net.Listener] until its
// context ends, [Broker.Dial] for connections inside the process. Ending a
// listener ends its connections but no session, so a Serve that follows stands
// for a server that was restarted.
//
// A slow or absent client never holds up the others. What waits for it is
// bounded by [Config.QueuedMessages] and [Config.QueuedBytes]; beyond that, new
// messages are dropped for this client alone, QoS 0, 1 and 2 alike, and counted
// in [Stats]. QoS 0 messages are not kept for absent clients.
//
// All methods are safe for concurrent use.
package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// ErrClosed says that the broker is closed.
var ErrClosed = errors.New("mqtt: broker closed")

// Broker is an MQTT server. Make one with [New].
//
// Two kinds of locks guard the state: one for what all clients share, and one
// per client. Who needs both takes the shared one first. Neither is held during
// I/O, a channel operation or a hook.
type Broker struct {
	cfg    Config
	counts counters

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	routines sync.WaitGroup // connections, listeners and timers

	mu        sync.RWMutex // guards everything below
	closed    bool
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
	clients   map[string]*client // by client identifier
	created   uint64             // clients so far
	routes    match.Tree[*subscription]
	groups    map[string]*group // shared subscriptions by their whole filter
	retained  retained
}

// New returns a broker without listeners.
func New(cfg Config) *Broker {
	b := &Broker{
		cfg:       cfg.withDefaults(),
		listeners: make(map[*listener]struct{}),
		conns:     make(map[*conn]struct{}),
		clients:   make(map[string]*client),
		groups:    make(map[string]*group),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// Close ends the broker: 5.0 clients are sent DISCONNECT with Server shutting
// down, all listeners and connections are closed, sessions and retained messages
// are gone and no will is published. When it returns nothing of the broker runs
// any more; do not call it from a hook.
func (b *Broker) Close() error {
	b.mu.Lock()
	b.closed = true
	for _, cl := range b.clients {
		cl.mu.Lock()
		b.cancelAlarm(cl)
		cl.mu.Unlock()
	}
	b.mu.Unlock()
	b.cancel()

	for _, l := range b.openListeners() {
		l.Close()
	}
	b.endConns(nil)
	b.routines.Wait()
	return nil
}

// DropConnections cuts all connections without a word, as a crash or a broken
// network would. Sessions stay, wills follow their rules. It returns when the
// connections are gone; do not call it from a hook.
func (b *Broker) DropConnections() {
	conns := b.openConns(nil)
	for _, c := range conns {
		c.net.Close()
	}
	for _, c := range conns {
		<-c.signals.gone
	}
}

// Disconnect ends the connection of a client; a 5.0 client is told the reason.
// The session stays for as long as the client asked for, and the will is
// published. It reports whether the client was connected.
func (b *Broker) Disconnect(clientID string, reason wire.ReasonCode) bool {
	b.mu.RLock()
	cl := b.clients[clientID]
	b.mu.RUnlock()
	if cl == nil {
		return false
	}
	cl.mu.Lock()
	c := cl.conn
	cl.mu.Unlock()
	return c != nil && b.leave(c, ending{reason: reason, tell: true, will: true})
}

// Publish sends a message to all subscribers as a client would, without one. It
// never waits. PacketID, Duplicate and what the properties say about alias and
// subscriptions are ignored; the broker copies what it keeps.
//
// The error is [ErrClosed], or unwraps to a [wire.ReasonCode] or [match.Error]
// that says why nobody got the message.
func (b *Broker) Publish(p *wire.Publish) error {
	if b.ctx.Err() != nil {
		return ErrClosed
	}
	if err := match.ValidateTopic(p.Topic); err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	if err := b.checkPublish(p); err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	var r router
	now := time.Now()
	code := b.publish(&r, newMessage(p, "", now), now)
	r.flush()
	if code.Failed() {
		return fmt.Errorf("mqtt: publish: %w", code)
	}
	return nil
}
