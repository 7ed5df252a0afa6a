package broker

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
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
	places    *quota       // of sessions
	memory    *quota       // in bytes, see memory.go
	walks     atomic.Int64 // that are under way
	doors     doors
	connects  *quota // of bytes, see intake
	packets   *quota
	authority
	life

	mu        sync.RWMutex // guards everything below
	closed    bool
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
	clients   map[string]*client // by client identifier
	created   uint64             // clients so far
	routes    match.Tree[*subscription]
	shapes    shapes
	groups    map[string]*group // shared subscriptions by their whole filter
	retained  retained
	locals    map[*Subscription]struct{}
	status    status
	changes   changes

	persistence *persistence // set once
	entrances   entrances
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
		cfg:       cfg.withDefaults(),
		listeners: make(map[*listener]struct{}),
		conns:     make(map[*conn]struct{}),
		clients:   make(map[string]*client),
		groups:    make(map[string]*group),
		locals:    make(map[*Subscription]struct{}),
	}
	b.slowHooks = b.cfg.mayWait()
	b.places, b.memory = newQuota(b.cfg.Sessions), newQuota(b.cfg.Memory)
	b.changes.b = b
	b.retained = newRetained(b)
	b.consists(b.cfg.Authorizers)
	b.persistence = newPersistence(b, b.cfg.Store)
	b.entrances = newEntrances()
	b.doors = newDoors(b.cfg.Connections)
	b.shapes = newShapes()
	b.connects = newQuota(connectsMaximum)
	b.packets = newQuota(max(packetsMaximum*b.cfg.MaximumPacketSize, packetsMinimum))
	b.begin()
	switch err := cfg.validate(); {
	case err != nil:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.fail(err)
	case b.cfg.Store != nil:
		b.load()
	}
	return b
}

// ended returns why the broker does nothing any more.
func (b *Broker) ended() error {
	if b.failure != nil {
		return b.failure
	}
	return ErrClosed
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
	if err := session.RefusePublish(p, b.cfg.announced()); err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	w := works.Get().(*work)
	defer w.release()
	code, err := b.publishOwn(&w.router, p, time.Now())
	if err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	if b.observed() {
		b.observe(Published{nil, p, code})
	}
	if code.Failed() {
		return fmt.Errorf("mqtt: publish: %w", code)
	}
	return nil
}
