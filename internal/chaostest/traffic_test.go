package chaostest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
)

// traffic goes from one client through a server to another, each on a line of its own.
type traffic struct {
	version   mqtt.Version
	publisher address
	receiver  address
	size      int           // about the bytes of a payload
	pace      time.Duration // up to which a publisher waits before the next message
	late      time.Duration // that a call may return after its context has ended

	ledger   *ledger
	client   *mqtt.Client // the publisher's
	unproven atomic.Int64 // connections of it in which QoS 2 messages may be repeated as new ones
}

const (
	publishers = 4
	inflight   = 16
	lastTopic  = "m/end"
)

// run publishes while disturb runs, and requires that nothing is lost, doubled or out of
// order when it has returned and the lines are whole again.
func (r *traffic) run(t *testing.T, seed uint64, disturb func(ctx context.Context, publisher, receiver *mqtt.Client)) {
	t.Helper()
	r.ledger = newLedger()
	cfg := r.publisher.config("publisher", r.version)
	cfg.Inflight, cfg.QueueMessages, cfg.SendTopicAliases = inflight, 40, 3
	r.client = r.publisher.connect(t, cfg)
	receiver := r.receiver.connect(t, r.receiver.config("receiver", r.version))
	sub, err := receiver.SubscribeWith(t.Context(), mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "m/+", QoS: mqtt.ExactlyOnce}}, BufferMessages: 1 << 20})
	require.NoError(t, err)
	stop := r.watch(t)
	receiving := Begin(func() error { return r.receive(t.Context(), sub) })

	ctx, cancel := context.WithCancel(t.Context())
	var calls []*Call
	for p := range uint32(publishers) {
		calls = append(calls, Begin(func() error { return r.publish(ctx, draw(seed, uint64(p)+10), p) }))
	}
	disturb(ctx, r.client, receiver)
	cancel()
	for _, c := range calls {
		require.NoError(t, c.Wait())
	}
	require.NoError(t, expected(r.client.Flush(t.Context())))
	require.NoError(t, r.client.Publish(t.Context(), lastTopic, nil, mqtt.ExactlyOnce))
	require.NoError(t, receiving.Wait())
	stop()
	failed := r.client.Stats().Failed
	r.ledger.check(t, inflight*int(r.unproven.Load()), int(failed.Undeliverable+failed.Refused))
	require.NoError(t, r.client.Disconnect(t.Context()))
	require.NoError(t, receiver.Disconnect(t.Context()))
}

// watch counts the connections with a session that is not proven, until it is stopped.
func (r *traffic) watch(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	events := r.client.Watch(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for e := range events {
			if e.Unproven || e.Session == mqtt.SessionLost {
				r.unproven.Add(1)
			}
		}
	})
	return func() {
		cancel()
		watching.Wait()
	}
}

// receive takes messages until the last one.
func (r *traffic) receive(ctx context.Context, sub *mqtt.Subscription) error {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if m.Topic == lastTopic {
			return nil
		}
		if err := r.ledger.take(m); err != nil {
			return err
		}
	}
}

// publish publishes until ctx ends, and returns when the fate of each message is known.
func (r *traffic) publish(ctx context.Context, rng *rand.Rand, publisher uint32) error {
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for n := uint32(0); ctx.Err() == nil; n++ {
		if err := r.publishOne(rng, id{publisher, n}, &waiting); err != nil {
			return err
		}
		pause(ctx, rng, r.pace)
	}
	return nil
}

// publishOne publishes a message in one of the ways that there are. A call that waits has
// sometimes a context that ends soon.
func (r *traffic) publishOne(rng *rand.Rand, i id, waiting *sync.WaitGroup) error {
	ctx, cancel := context.Background(), func() {}
	if rng.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.Int64N(int64(2*keepAlive))))
	}
	defer cancel()
	m := &mqtt.Message{Topic: i.topic(), Payload: i.payload(rng, r.size), QoS: i.qos()}
	var err error
	switch way := rng.IntN(6); way {
	case 0, 1, 2:
		var d *mqtt.Delivery
		if d, err = r.client.PublishAsync(ctx, m); err == nil {
			waiting.Go(func() {
				_, err := d.Wait(context.Background())
				r.ledger.over(i, err)
			})
			return r.inTime(ctx)
		}
	case 3:
		m.NotQueued = true
		err = r.client.PublishMessage(ctx, m)
	default:
		err = r.client.PublishMessage(ctx, m)
	}
	r.ledger.over(i, err)
	return errors.Join(expected(err), r.inTime(ctx))
}

// inTime sees that a call has returned when its context has ended.
func (r *traffic) inTime(ctx context.Context) error {
	end, limited := ctx.Deadline()
	if late := time.Since(end); limited && late > r.late {
		return fmt.Errorf("a call returned %v after its context had ended", late)
	}
	return nil
}

// expected lets the errors pass that a message may end with.
func expected(err error) error {
	for _, e := range []error{context.DeadlineExceeded, mqtt.ErrConnectionLost, mqtt.ErrQueueFull, mqtt.ErrNotConnected,
		mqtt.ErrUndeliverable, mqtt.PacketIdentifierNotFound} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}
