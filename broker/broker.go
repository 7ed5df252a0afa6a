package broker

import (
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
	cfg       Config
	slowHooks bool // see Config.mayWait
	counts    counters
	life

	mu        sync.RWMutex // guards everything below
	closed    bool
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
	clients   map[string]*client // by client identifier
	created   uint64             // clients so far
	routes    match.Tree[*subscription]
	groups    map[string]*group // shared subscriptions by their whole filter
	retained  retained
	locals    map[*Subscription]struct{}
	status    status
}

// New returns a broker without listeners.
func New(cfg Config) *Broker {
	b := &Broker{
		cfg:       cfg.withDefaults(),
		listeners: make(map[*listener]struct{}),
		conns:     make(map[*conn]struct{}),
		clients:   make(map[string]*client),
		groups:    make(map[string]*group),
		locals:    make(map[*Subscription]struct{}),
	}
	b.slowHooks = b.cfg.mayWait()
	b.begin()
	return b
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
	if b.cfg.tooDeep(p.Topic) {
		return fmt.Errorf("mqtt: publish: %w", wire.TopicNameInvalid)
	}
	if err := b.checkPublish(p); err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	var r router
	now := time.Now()
	code := b.publish(&r, newMessage(p, "", now), now)
	r.flush()
	if b.observed() {
		b.observe(Published{nil, p, code})
	}
	if code.Failed() {
		return fmt.Errorf("mqtt: publish: %w", code)
	}
	return nil
}
