package stresstest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/reconnect"
)

var (
	mixedMessages = flag.Int("mixed.messages", 60, "how many messages each publisher of the mixed test has")
	mixedSeed     = flag.Uint64("mixed.seed", 0, "play only this one")
)

// mixed is a client with publishers of all kinds and a subscriber on one
// connection, which breaks.
type mixed struct {
	client *mqtt.Client

	mu   sync.Mutex
	fate map[mixedID]error // of messages that are over
}

type mixedID struct{ publisher, n uint32 }

func (id mixedID) qos() mqtt.QoS { return mqtt.QoS((id.publisher + id.n*7>>2) % 3) }

// payload tells itself from every other one, at every place.
func (id mixedID) payload(rng *rand.Rand) []byte {
	size := 8 + rng.IntN(200)
	switch rng.IntN(12) {
	case 0:
		size = 8
	case 1:
		size = rng.IntN(64<<10) + 8
	case 2:
		size = 256<<10 - 2 + rng.IntN(4)
	case 3:
		size = rng.IntN(600<<10) + 8
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, size), id.publisher)
	b = binary.BigEndian.AppendUint32(b, id.n)
	return id.fill(b[:size])
}

func (id mixedID) fill(b []byte) []byte {
	for i := 8; i < len(b); i++ {
		b[i] = byte(uint32(i)*(id.n|1) + id.publisher + uint32(i>>9))
	}
	return b
}

func (m *mixed) over(id mixedID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fate[id] = err
}

// publish publishes message id in some way.
func (m *mixed) publish(ctx context.Context, rng *rand.Rand, id mixedID, async *sync.WaitGroup) error {
	payload := id.payload(rng)
	if rng.IntN(10) == 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(rng.IntN(3000))*time.Microsecond)
		defer cancel()
		ctx = limited
	}
	topic := fmt.Sprintf("m/%d", id.publisher)
	if id.publisher%3 > 0 || rng.IntN(3) == 0 {
		err := m.client.Publish(ctx, topic, payload, id.qos())
		clear(payload)
		m.over(id, err)
		return mixedExpected(err)
	}
	d, err := m.client.PublishAsync(ctx, &mqtt.Message{Topic: topic, Payload: payload, QoS: id.qos()})
	if err != nil {
		clear(payload)
		m.over(id, err)
		return mixedExpected(err)
	}
	async.Go(func() {
		_, err := d.Wait(context.Background())
		clear(payload)
		m.over(id, err)
	})
	return nil
}

// mixedExpected lets the errors pass that a message may end with.
func mixedExpected(err error) error {
	for _, expected := range []error{context.DeadlineExceeded, mqtt.ErrConnectionLost, mqtt.ErrQueueFull, mqtt.ErrUndeliverable} {
		if errors.Is(err, expected) {
			return nil
		}
	}
	return err
}

// received is what the subscriber got: how often, and in order.
type mixedReceived struct {
	count map[mixedID]int
	last  map[[2]uint32]uint32 // publisher, QoS
	ends  int
}

func (r *mixedReceived) take(msg *mqtt.Message) error {
	if msg.Topic == "m/end" {
		r.ends++
		return nil
	}
	if len(msg.Payload) < 8 {
		return fmt.Errorf("%d bytes on %s", len(msg.Payload), msg.Topic)
	}
	id := mixedID{binary.BigEndian.Uint32(msg.Payload), binary.BigEndian.Uint32(msg.Payload[4:])}
	switch want := id.fill(bytes.Clone(msg.Payload)); {
	case !bytes.Equal(want, msg.Payload):
		return fmt.Errorf("%v at QoS %d arrived damaged (%d bytes)", id, msg.QoS, len(msg.Payload))
	case id.qos() != msg.QoS || msg.Topic != fmt.Sprintf("m/%d", id.publisher):
		return fmt.Errorf("%v arrived at QoS %d on %s", id, msg.QoS, msg.Topic)
	}
	key := [2]uint32{id.publisher, uint32(msg.QoS)}
	if r.count[id]++; r.count[id] > 1 {
		if msg.QoS != mqtt.AtLeastOnce {
			return fmt.Errorf("%v at QoS %d arrived %d times", id, msg.QoS, r.count[id])
		}
		return nil
	}
	if last, any := r.last[key]; any && id.n < last {
		return fmt.Errorf("%v at QoS %d arrived after %d", id, msg.QoS, last)
	}
	r.last[key] = id.n
	return nil
}

func TestPublishersOfAllKindsAndASubscriberOnALineThatIsCut(t *testing.T) {
	seed := *mixedSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	b := broker.New(broker.Config{QueuedBytes: 1 << 30, QueuedMessages: 1 << 20})
	t.Cleanup(func() { b.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go b.Serve(context.Background(), l)
	line := faultproxy.New(t, l.Addr().String())
	line.RandomCuts(seed, 20_000, 4_000_000)
	client, err := mqtt.Connect(t.Context(), line.URL(), mqtt.Config{
		Version: mqtt.V5, RetryFirst: true, Inflight: 1 + rng.IntN(8), QueueMessages: 4 + rng.IntN(40), SendTopicAliases: 3,
		WhenFull:  mqtt.WhenFull{AtMostOnce: mqtt.FullPolicy(rng.IntN(5)), Acknowledged: mqtt.FullPolicy(rng.IntN(2))},
		Reconnect: reconnect.Policy{Min: time.Millisecond, Max: 5 * time.Millisecond},
	})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	m := &mixed{client: client, fate: map[mixedID]error{}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "m/+", QoS: mqtt.ExactlyOnce}}, BufferMessages: 1 << 20})
	require.NoError(t, err)

	got := &mixedReceived{count: map[mixedID]int{}, last: map[[2]uint32]uint32{}}
	receiving := Begin(func() error {
		for got.ends == 0 {
			msg, err := sub.Next(ctx)
			if err == nil {
				err = got.take(msg)
			}
			if err != nil {
				cancel()
				return err
			}
		}
		return nil
	})
	const publishers = 6
	var calls []*Call
	var async sync.WaitGroup
	for p := range uint32(publishers) {
		rng := rand.New(rand.NewPCG(seed, uint64(p)+1))
		calls = append(calls, Begin(func() error {
			for n := range uint32(*mixedMessages) {
				err := m.publish(ctx, rng, mixedID{p, n}, &async)
				if err == nil && rng.IntN(50) == 0 {
					err = mixedExpected(client.Flush(ctx))
				}
				if err == nil && rng.IntN(500) == 0 {
					err = client.Reconnect(ctx)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for _, c := range calls {
		err := c.Wait()
		if err != nil && ctx.Err() != nil {
			break
		}
		require.NoError(t, err)
	}
	async.Wait()
	line.RandomCuts(0, 0, 0)
	line.Drop()
	if err = mixedExpected(client.Flush(ctx)); err == nil {
		err = client.Publish(ctx, "m/end", nil, mqtt.ExactlyOnce)
	}
	require.NoError(t, err)
	require.NoError(t, receiving.Wait())
	for id, err := range m.fate {
		n := got.count[id]
		switch {
		case err != nil && mqtt.NotSent(err):
			require.Zero(t, n, "%v: %v", id, err)
		case id.qos() > mqtt.AtMostOnce && !errors.Is(err, mqtt.ErrUndeliverable):
			require.NotZero(t, n, "%v at QoS %d: %v", id, id.qos(), err)
		}
	}
	require.Len(t, m.fate, publishers**mixedMessages)
	require.NotZero(t, line.Stats().Cut)
	t.Logf("%d cuts, %d messages", line.Stats().Cut, len(got.count))
	require.NoError(t, client.Disconnect(ctx))
}
