package stresstest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// TestLivesEndInAnyOrder starts clients of one session one after the other, has them do
// everything at once, breaks their connections, and ends them by Close, Disconnect and
// contexts in any order and at any moment. No message is lost, every call returns, and a
// life that has ended with nothing left repeats nothing in a later one.
func TestLivesEndInAnyOrder(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
	clean := 0
	for range 40 {
		seed := rand.Uint64()
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { clean += testLives(t, rand.New(rand.NewPCG(seed, 0))) })
		}) {
			return
		}
	}
	require.Greater(t, clean, 20, "of 200 lives, hardly any has ended with nothing left")
}

// lives are the clients of one session.
type lives struct {
	t *testing.T
	b *mqtttest.Broker

	calls sync.WaitGroup // of functions that work on messages

	mu    sync.Mutex
	r     *rand.Rand
	begun map[uint32][]int // the lives in which a consumer has begun with a message
	clean map[int]bool     // lives that have left nothing; true: without a fault of the network
}

func (l *lives) n(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.IntN(n)
}

// nap sleeps up to d, or not at all.
func (l *lives) nap(d time.Duration) {
	if l.n(4) > 0 {
		time.Sleep(time.Duration(l.n(int(d))))
	}
}

func (l *lives) config() mqtt.Config {
	return mqtt.Config{ClientID: "c", Resume: true, Dial: l.b.Dial, KeepAlive: -1, StallAfter: -1, QueueMessages: 8}
}

// qosOf is the QoS of a message that the server sends.
func qosOf(id uint32) mqtt.QoS { return mqtt.QoS(1 + id%2) }

func testLives(t *testing.T, r *rand.Rand) (clean int) {
	const messages, count = 60, 5
	l := &lives{t: t, b: mqtttest.NewBroker(t), r: r, begun: map[uint32][]int{}, clean: map[int]bool{}}
	first, err := mqtt.Connect(t.Context(), "mqtt://b", l.config())
	require.NoError(t, err)
	_, err = first.Subscribe(t.Context(), "t", mqtt.ExactlyOnce)
	require.NoError(t, err)
	require.NoError(t, first.Disconnect(t.Context()))
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for id := range uint32(messages) {
			l.nap(400 * time.Millisecond)
			l.b.Publish(&wire.Publish{Topic: "t", Payload: binary.BigEndian.AppendUint32(nil, id), QoS: qosOf(id)})
		}
	})
	for life := range count {
		l.live(life)
	}
	publishing.Wait()
	l.takeRest(count, messages)
	for id := range uint32(messages) {
		l.check(id)
	}
	return len(l.clean)
}

// check sees whether a message has come, and not again where it must not.
func (l *lives) check(id uint32) {
	in := l.begun[id]
	require.NotEmpty(l.t, in, "message %d is lost", id)
	for i, life := range in[1:] {
		undisturbed, clean := l.clean[in[i]]
		exact := qosOf(id) == mqtt.ExactlyOnce
		require.False(l.t, exact && life == in[i], "message %d comes twice in life %d", id, life)
		require.False(l.t, clean && life != in[i] && (exact || undisturbed),
			"message %d of life %d, which has left nothing, comes again in life %d", id, in[i], life)
	}
}

// take notes that a consumer has begun with a message.
func (l *lives) take(life int, m *mqtt.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := binary.BigEndian.Uint32(m.Payload)
	l.begun[id] = append(l.begun[id], life)
}

// takeRest is the last life, which lasts until every message has come.
func (l *lives) takeRest(life int, messages int) {
	client, err := mqtt.Connect(l.t.Context(), "mqtt://b", l.config())
	require.NoError(l.t, err)
	defer client.Close()
	sub, err := client.Subscribe(l.t.Context(), "t", mqtt.ExactlyOnce)
	require.NoError(l.t, err)
	for {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
		m, err := sub.Next(ctx)
		cancel()
		if err != nil {
			return // there is no more
		}
		l.take(life, m)
	}
}

// live is the life of one client.
func (l *lives) live(life int) {
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	var client *mqtt.Client
	var err error
	if l.n(3) > 0 {
		client, err = mqtt.Start("mqtt://b", l.config())
		require.NoError(l.t, err)
	} else {
		connecting, stop := context.WithCancel(ctx)
		all.Go(func() { l.nap(time.Microsecond); stop() })
		if client, err = mqtt.Connect(connecting, "mqtt://b", l.config()); err != nil {
			require.ErrorIs(l.t, err, context.Canceled)
			return
		}
	}
	disturbed := false
	all.Go(func() { l.consume(ctx, client, life) })
	for range 3 {
		all.Go(func() { l.publish(ctx, client) })
	}
	all.Go(func() { l.disturb(ctx, client) })
	if l.n(2) > 0 {
		disturbed = true
		l.nap(2 * time.Second)
		l.b.Drop()
	}
	l.nap(4 * time.Second)
	clean := l.end(client)
	<-client.Done()
	require.ErrorIs(l.t, client.Err(), mqtt.ErrClosed)
	if clean {
		l.clean[life] = !disturbed
	}
}

// end ends the client in several ways at once, and reports whether nothing is left.
func (l *lives) end(client *mqtt.Client) (clean bool) {
	clean = true
	var ends sync.WaitGroup
	for range 1 + l.n(3) {
		closes, limit := l.n(4) == 0, time.Duration(l.n(int(5*time.Second)))
		ends.Go(func() {
			l.nap(time.Second)
			if closes {
				require.NoError(l.t, client.Close())
				l.mu.Lock()
				defer l.mu.Unlock()
				clean = false
				return
			}
			ctx, cancel := context.WithTimeout(l.t.Context(), limit)
			defer cancel()
			if client.Disconnect(ctx) != nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				clean = false
			}
		})
	}
	ends.Wait()
	return clean
}

// consume takes messages in one of the ways until the client ends.
func (l *lives) consume(ctx context.Context, client *mqtt.Client, life int) {
	work := func(m *mqtt.Message) {
		l.take(life, m)
		l.nap(300 * time.Millisecond)
	}
	way := l.n(4)
	if way == 0 {
		o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t", QoS: 2}}, Concurrency: l.n(3)}
		err := client.Handle(ctx, o, func(_ context.Context, m *mqtt.Message) error { work(m); return nil })
		require.ErrorIs(l.t, err, mqtt.ErrClosed)
		return
	}
	sub, err := client.Subscribe(ctx, "t", mqtt.ExactlyOnce)
	if err != nil {
		require.ErrorIs(l.t, err, mqtt.ErrClosed)
		return
	}
	switch way {
	case 1:
		for m := range sub.Stream(ctx) {
			work(m)
		}
	case 2:
		for m, err := range sub.All(ctx) {
			if err != nil {
				break
			}
			work(m)
		}
	case 3:
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				break
			}
			work(m)
		}
	}
	require.ErrorIs(l.t, sub.Err(), mqtt.ErrClosed)
}

// publish publishes until the client ends. What it was told to be accepted has an end.
func (l *lives) publish(ctx context.Context, client *mqtt.Client) {
	for {
		m := &mqtt.Message{Topic: "out", QoS: mqtt.QoS(l.n(3))}
		d, err := client.PublishAsync(ctx, m)
		if err != nil {
			require.ErrorIs(l.t, err, mqtt.ErrClosed)
			require.True(l.t, mqtt.NotSent(err))
			return
		}
		if _, err = d.Wait(ctx); err != nil && m.QoS > 0 {
			require.ErrorIs(l.t, err, mqtt.ErrClosed)
		}
		time.Sleep(time.Duration(1 + l.n(int(100*time.Millisecond))))
	}
}

// disturb makes all other calls, whose contexts end at any moment.
func (l *lives) disturb(ctx context.Context, client *mqtt.Client) {
	calls := []func(context.Context) error{
		client.WaitConnected,
		client.Flush,
		client.Reconnect,
		func(ctx context.Context) error {
			_, err := client.Subscribe(ctx, fmt.Sprint("other/", l.n(5)), 1)
			return err
		},
		func(ctx context.Context) error {
			_, err := client.Request(ctx, &mqtt.Message{Topic: "q"})
			return err
		},
		func(ctx context.Context) error {
			for range client.Watch(ctx) {
			}
			return nil
		},
	}
	for {
		limited, cancel := context.WithTimeout(ctx, time.Duration(l.n(int(500*time.Millisecond))))
		_ = calls[l.n(len(calls))](limited)
		cancel()
		select {
		case <-client.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}
