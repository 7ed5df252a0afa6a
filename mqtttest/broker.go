package mqtttest

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// Config holds the settings of a [Broker].
type Config struct {
	// Broker configures the broker itself. If its Logger is nil, the log goes to the
	// output of the test.
	Broker broker.Config
	// Patience is how long a method that begins with Want waits. Zero means ten
	// seconds, and ten minutes in a bubble, where waiting costs nothing.
	Patience time.Duration
	// Buffer is how many bytes a connection in memory holds in each direction.
	// Zero means 64 KiB.
	Buffer int
}

// Broker is a broker for one test. It ends with the test.
type Broker struct {
	t   testing.TB
	cfg Config

	network  network
	service  service
	recorder recorder
	controls controls
	running  sync.WaitGroup // the goroutines of the network; the broker has others

	mu      sync.Mutex // guards what follows
	closing bool
	links   map[*link]struct{}
	opened  int // connections so far
	faults  faults
}

// NewBroker starts a broker with its defaults.
func NewBroker(t testing.TB) *Broker {
	t.Helper()
	return NewBrokerWith(t, Config{})
}

// NewBrokerWith starts a broker. Inside a testing/synctest bubble give it the
// bubble's own t.
func NewBrokerWith(t testing.TB, cfg Config) *Broker {
	t.Helper()
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience()
	}
	if cfg.Broker.Logger == nil {
		cfg.Broker.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b := &Broker{t: t, cfg: cfg, links: make(map[*link]struct{})}
	b.recorder.init()
	b.service.broker = broker.New(cfg.Broker)
	b.service.start(cfg.Buffer)
	b.network.memory = pipe.Listen(cfg.Buffer)
	b.spawn(func() { b.accept(b.network.memory) })
	unmark := b.recorder.mark()
	t.Cleanup(func() {
		b.close()
		unmark()
		if t.Failed() {
			t.Log(b.recorder.dump())
		}
	})
	return b
}

func defaultPatience() time.Duration {
	if inBubble() {
		return 10 * time.Minute
	}
	return 10 * time.Second
}

// Publish publishes a message as a client would. It needs no client.
func (b *Broker) Publish(p *wire.Publish) {
	b.t.Helper()
	published := make(chan error, 1)
	// Goroutines that the broker starts to deliver the message must not count as the
	// test's.
	go unmarked(func() { published <- b.service.current().Publish(p) })
	if err := <-published; err != nil {
		b.t.Errorf("mqtttest: %v", err)
	}
}

// Stats returns the figures of the broker since it was made or replaced by
// RestartEmpty.
func (b *Broker) Stats() broker.Stats { return b.service.current().Stats() }

// close runs at the end of the test.
func (b *Broker) close() {
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	b.network.close()
	for _, l := range b.matching(nil) {
		l.end("the test is over", true)
	}
	b.service.close()
	b.running.Wait()
}

// spawn starts a goroutine of the network. It does not count as one of the
// program under test.
func (b *Broker) spawn(f func()) { b.running.Go(func() { unmarked(f) }) }

// service is the broker that the network connects to.
type service struct {
	mu     sync.Mutex // guards what follows
	broker *broker.Broker
	memory *pipe.Listener // nil: stopped
	stop   func()         // ends the listener and waits for it
}

func (s *service) current() *broker.Broker {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broker
}

// dial returns a connection to the broker.
func (s *service) dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	l := s.memory
	s.mu.Unlock()
	if l == nil {
		return nil, pipe.ErrRefused
	}
	return l.Dial(ctx)
}

// start makes the broker serve, unless it does so already.
func (s *service) start(buffer int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory != nil {
		return
	}
	l, b := pipe.Listen(buffer), s.broker
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go unmarked(func() {
		defer close(done)
		_ = b.Serve(ctx, l) // it ends when halt asks it to
	})
	s.memory = l
	s.stop = func() {
		cancel()
		<-done
	}
}

// halt ends the listener and its connections. The broker keeps its state.
func (s *service) halt() {
	s.mu.Lock()
	stop := s.stop
	s.memory, s.stop = nil, nil
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// replace replaces a halted broker by one without state.
func (s *service) replace(cfg broker.Config) {
	if cfg.Store != nil {
		s.current().Close() // two brokers must not use one Store
	}
	fresh := broker.New(cfg)
	s.mu.Lock()
	old := s.broker
	s.broker = fresh
	s.mu.Unlock()
	old.Close()
}

func (s *service) close() {
	s.halt()
	s.current().Close()
}
