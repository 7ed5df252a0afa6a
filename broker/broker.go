package broker

// Broker is an MQTT server. Make one with [New].
type Broker struct {
	hub

	// hub.mu guards what follows.
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
	locals    map[*Subscription]struct{}
}

// Open is New for a broker with a [Config.Store]. It returns at once the error that
// New leaves to the other methods: a duration of the Config that cannot be meant, a
// Store that could not be read, or a record that the broker does not understand or
// has no space for, such as a [RecordError]. After an error the Store is unchanged.
func Open(cfg Config) (*Broker, error) {
	b := New(cfg)
	if b.failure != nil {
		return nil, b.failure
	}
	return b, nil
}

// New returns a broker without listeners. It continues with the sessions and messages
// of [Config.Store]. If the Store cannot be read, or a duration of the Config cannot
// be meant, the broker is closed, and every method with an error result returns the
// error of [Open].
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

// Reauthorize tells the broker that the answers of [Config.Authorizers] have changed.
// Before it sends a client another message, the broker asks them again about the
// client's filters and about the messages that wait for it. [ACL.Reload] has the same
// effect on every broker that has the [ACL] itself among its authorizers.
func (b *Broker) Reauthorize() { b.changed.Add(1) }
