package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// ErrClosed says that the broker is closed.
var ErrClosed = errors.New("mqtt: broker closed")

// Broker is an MQTT server. Make one with [New].
type Broker struct {
	hub

	// hub.mu guards what follows.
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
	locals    map[*Subscription]struct{}
}

// Open is New for a broker with a [Config.Store]. It returns at once what New leaves
// to the other methods: that the Config has a duration that cannot be meant, that the
// Store could not be read or holds what the broker does not know or has no room for,
// such as a [RecordError]. The Store is unchanged then.
func Open(cfg Config) (*Broker, error) {
	b := New(cfg)
	if b.failure != nil {
		return nil, b.failure
	}
	return b, nil
}

// New returns a broker without listeners. It goes on with what [Config.Store] holds.
// If that cannot be read, or a duration of the Config cannot be meant, the broker is
// closed, and all methods with an error return that of [Open].
func New(cfg Config) *Broker {
	b := &Broker{
		listeners: make(map[*listener]struct{}),
		conns:     make(map[*conn]struct{}),
		locals:    make(map[*Subscription]struct{}),
	}
	b.hub.begin(cfg.withDefaults())
	b.status = status{interval: b.cfg.StatusInterval, life: &b.life, figures: b.figures, publish: b.publishStatus}
	switch err := cfg.validate(); {
	case err != nil:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.failLocked(err)
	case b.cfg.Store != nil:
		b.load()
	}
	return b
}

// DropConnections cuts all connections without a word, as a crash or a broken
// network would. Sessions stay, wills follow their rules. It returns when the
// connections are gone; do not call it from a hook.
func (b *Broker) DropConnections() {
	conns := b.openConns(nil)
	for _, c := range conns {
		c.cut()
	}
	for _, c := range conns {
		<-c.signals.gone
	}
}

// Publish sends a message to all subscribers as a client would, without one. It
// waits for nothing but the [Config.Store], and for that only if the message has QoS
// 1 or 2 and is retained or for a session that is kept: it is durable then when
// Publish returns. PacketID, Duplicate and what the properties say about alias and
// subscriptions are ignored; the broker copies what it keeps.
//
// The error is [ErrClosed], or unwraps to a [wire.ReasonCode] or [match.Error]
// that says why nobody got the message.
func (b *Broker) Publish(p *wire.Publish) error {
	if b.ctx.Err() != nil {
		return b.ended()
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
	w := works.Get().(*work)
	defer w.release()
	code, err := b.publishOwn(&w.router, p, time.Now())
	if err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	if b.hooks.observed() {
		b.hooks.observe(Published{nil, p, code})
	}
	if code.Failed() {
		return fmt.Errorf("mqtt: publish: %w", code)
	}
	return nil
}
