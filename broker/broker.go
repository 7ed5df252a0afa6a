package broker

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
// Store could not be read or holds what the broker does not know or has no space for,
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
	b.sys = sysTopics{interval: b.cfg.StatusInterval, life: &b.life, figures: b.figuresLocked, publish: b.publishStatus}
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

// Reauthorize says that what [Config.Authorizers] allow has changed. Before any client
// is sent another message they are asked again about its filters and about what waits
// for it. [ACL.Reload] has the same effect on all brokers that have the [ACL] itself
// among their authorizers.
func (b *Broker) Reauthorize() { b.changed.Add(1) }
