package chaostest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/store"
)

// soak is a server behind a line that breaks, and clients that do everything.
type soak struct {
	name    string
	line    *line
	broker  *broker.Broker // the server, if it is in this process; nil: it is another
	version mqtt.Version
	client  *mqtt.Client // makes calls as long as the test lasts
	queue   sequence
	lives   int          // clients that have come and gone
	calls   atomic.Int64 // of operations
}

// sequence is a stream of messages at QoS 2, of which each has to come, in order. In a session
// in doubt it may come again, which is counted.
//
// It has a client of its own, because a Handle or Respond that has ended may leave a
// message that holds up the acknowledgements behind it until another takes it.
type sequence struct {
	client     *mqtt.Client
	sub        *mqtt.Subscription
	sent, last uint64
	again      int // messages that came a second time
}

// soakRounds are how often everything comes to rest, and is read.
const soakRounds = 24

// TestSoak has clients do everything at random for as long as -soak says, while their
// lines break. In each round clients come and go, and one stays. After each round
// everything comes to rest: no heap, no goroutine and no descriptor is left that was not
// there before.
func TestSoak(t *testing.T) {
	seed := newSeed(t)
	var soaks []*soak
	for _, v := range versions {
		b := newBroker(t)
		soaks = append(soaks, &soak{name: fmt.Sprint("broker ", v), line: onSockets(t, listen(t, b)), broker: b, version: v})
	}
	for _, v := range versions {
		soaks = append(soaks, &soak{name: fmt.Sprint("Mosquitto ", v), line: onSockets(t, startMosquitto(t)), version: v})
	}
	for _, s := range soaks {
		s.begin(t)
	}
	round := *soakFor / soakRounds
	var readings []reading
	begun := time.Now()
	for n := range soakRounds {
		g := new(errgroup.Group)
		for i, s := range soaks {
			g.Go(func() error { return s.round(t.Context(), seed+uint64(n*len(soaks)+i), round) })
		}
		require.NoError(t, g.Wait(), "round %d", n)
		readings = append(readings, settled(readings))
		t.Logf("after %v: %v", time.Since(begun).Round(time.Second), readings[n])
	}
	interval := time.Since(begun) / soakRounds
	rest := readings[len(readings)/4:]
	t.Logf("slopes in an hour: heap %.0f kB, goroutines %.2f, descriptors %.2f", slope(rest, interval, func(r reading) int { return r.heap })/1024,
		slope(rest, interval, goroutines), slope(rest, interval, descriptors))
	for _, s := range soaks {
		t.Logf("%s: %d calls, %d clients, %d messages in sequence, %d again, %d connections", s.name, s.calls.Load(), s.lives,
			s.queue.sent, s.queue.again, s.client.Stats().Connections+s.queue.client.Stats().Connections)
		require.NotZero(t, s.queue.sent)
	}
	requireFlat(t, readings)
}

// config is that of a client which soon gives a handshake up that stands still: a round
// waits for it.
func (s *soak) config(name string) mqtt.Config {
	cfg := s.line.config(name, s.version)
	cfg.ConnectTimeout = 3 * time.Second
	return cfg
}

// begin connects the client that stays.
func (s *soak) begin(t *testing.T) {
	cfg := s.config("stays")
	s.client = s.line.connect(t, cfg)
	s.queue.client = s.line.connect(t, s.config("counts"))
	sub, err := s.queue.client.Subscribe(t.Context(), "sequence", mqtt.ExactlyOnce)
	require.NoError(t, err)
	s.queue.sub = sub
	// What the first Request makes stays.
	w := &worker{s.client, s.line.url, cfg, draw(0, 0)}
	require.ErrorIs(t, w.request(t.Context()), context.Canceled) // by which Respond has ended
}

// round lets everything happen for a while, and brings it to rest.
func (s *soak) round(ctx context.Context, seed uint64, d time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	g := new(errgroup.Group)
	g.Go(func() error {
		disturb(limited, draw(seed, 0), s.line.faults(), min(keepAlive, d/4))
		return nil
	})
	g.Go(func() error { return s.queue.run(limited) })
	stays := s.config("stays")
	for i := range uint64(3) {
		g.Go(func() error { return s.work(limited, &worker{s.client, s.line.url, stays, draw(seed, 1+i)}) })
	}
	g.Go(func() error { return s.comeAndGo(limited, draw(seed, 10)) })
	err := g.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return s.rest(ctx)
}

// rest brings everything to rest: the line has two connections, of the clients that stay,
// which have nothing to do.
func (s *soak) rest(ctx context.Context) error {
	s.line.Heal()
	s.line.Drop()
	for _, client := range []*mqtt.Client{s.client, s.queue.client} {
		if err := client.WaitConnected(ctx); err != nil {
			return err
		}
	}
	if err := s.line.WaitConnections(ctx, 2); err != nil {
		return err
	}
	s.release()
	return nil
}

// release ends the sessions that nobody is connected to. A client that ends while its line
// is broken leaves one, for which messages gather until somebody comes back with its name.
func (s *soak) release() {
	if s.broker == nil {
		return
	}
	for _, c := range s.broker.Clients() {
		if !c.Connected {
			s.broker.Release(c.Peer.ClientID)
		}
	}
}

// work makes calls, one after the other, until ctx ends.
func (s *soak) work(ctx context.Context, w *worker) error {
	names := slices.Sorted(maps.Keys(operations))
	for ctx.Err() == nil {
		name := names[w.rng.IntN(len(names))]
		limited, cancel := context.WithTimeout(ctx, time.Duration(w.rng.Int64N(int64(time.Second))))
		err := operations[name](w, limited)
		end, _ := limited.Deadline()
		cancel()
		s.calls.Add(1)
		if !tolerable(err) {
			return fmt.Errorf("%s: %w", name, err)
		}
		if late := time.Since(end); late > patience {
			return fmt.Errorf("%s returned %v after its context had ended", name, late)
		}
		pause(context.Background(), w.rng, 10*time.Millisecond)
	}
	return nil
}

// patience is far more than a call may take after its context has ended, on a machine
// that does much else.
const patience = 20 * time.Second

// comeAndGo has one client after the other live for a while and end in some way.
func (s *soak) comeAndGo(ctx context.Context, rng *rand.Rand) error {
	for ctx.Err() == nil {
		s.lives++
		if err := s.live(ctx, rng); err != nil {
			return err
		}
	}
	return nil
}

// live is the life of one client, with a will, some with a Store.
func (s *soak) live(ctx context.Context, rng *rand.Rand) error {
	cfg := s.config(fmt.Sprint("comes and goes ", rng.IntN(3)))
	cfg.Resume = rng.IntN(2) == 0
	cfg.SessionExpiry = time.Second
	cfg.Will = &mqtt.Will{Message: mqtt.Message{Topic: "soak/1", QoS: mqtt.AtLeastOnce}}
	if rng.IntN(2) == 0 {
		cfg.Store, cfg.Resume = store.Memory(), true
	}
	living, cancel := context.WithTimeout(ctx, time.Duration(rng.Int64N(int64(2*time.Second))))
	defer cancel()
	client, err := mqtt.Connect(living, s.line.url, cfg)
	if err != nil {
		pause(living, rng, 100*time.Millisecond)
		return nil // the line is broken
	}
	var working sync.WaitGroup
	errs := make(chan error, 2)
	for range cap(errs) {
		w := &worker{client, s.line.url, cfg, draw(rng.Uint64(), 0)}
		working.Go(func() { errs <- s.work(living, w) })
	}
	pause(living, rng, 2*time.Second)
	err = end(rng, client)
	cancel()
	working.Wait()
	return worse(err, worse(<-errs, <-errs))
}

// end ends a client within its bound.
func end(rng *rand.Rand, client *mqtt.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.Int64N(int64(time.Second))))
	defer cancel()
	begun := time.Now()
	if rng.IntN(2) == 0 {
		if err := client.Close(); err != nil {
			return fmt.Errorf("Close: %w", err)
		}
	} else {
		_ = client.Disconnect(ctx) // its error says what was left
	}
	<-client.Done()
	if took := time.Since(begun); took > patience {
		return fmt.Errorf("a client took %v to end", took)
	}
	return nil
}

// run publishes messages and receives them, until ctx ends.
func (q *sequence) run(ctx context.Context) error {
	for ctx.Err() == nil {
		var under []*mqtt.Delivery
		for range 1 + q.sent%20 {
			q.sent++
			m := &mqtt.Message{Topic: "sequence", Payload: binary.BigEndian.AppendUint64(nil, q.sent), QoS: mqtt.ExactlyOnce}
			d, err := q.client.PublishAsync(context.Background(), m)
			if err != nil {
				return fmt.Errorf("message %d: %w", q.sent, err)
			}
			under = append(under, d)
		}
		for _, d := range under {
			// A server that does not find the message has passed it on before.
			if _, err := d.Wait(context.Background()); err != nil && !errors.Is(err, mqtt.PacketIdentifierNotFound) {
				return fmt.Errorf("one of %d messages: %w", q.sent, err)
			}
		}
		if err := q.receive(context.Background()); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// receive takes what was published. Each has to be there, in its order.
func (q *sequence) receive(ctx context.Context) error {
	for q.last < q.sent {
		m, err := q.next(ctx)
		if err != nil {
			return fmt.Errorf("waiting for message %d of %d: %w", q.last+1, q.sent, err)
		}
		switch n := binary.BigEndian.Uint64(m.Payload); {
		case n <= q.last:
			q.again++
		case n == q.last+1:
			q.last = n
		default:
			return fmt.Errorf("message %d came after %d", n, q.last)
		}
	}
	return nil
}

// next waits for a message far longer than any fault lasts.
func (q *sequence) next(ctx context.Context) (*mqtt.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return q.sub.Next(ctx)
}
