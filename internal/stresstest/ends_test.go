package stresstest

import (
	"context"
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

// TestEverySubscriptionEndsWithItsClient has Subscriptions of every kind, which end by
// themselves at any moment, while the client ends in several ways at once. Every call
// returns, and no goroutine is left.
func TestEverySubscriptionEndsWithItsClient(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
	for range 50 {
		seed := rand.Uint64()
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testEnds(t, rand.New(rand.NewPCG(seed, 0))) })
		}) {
			return
		}
	}
}

func testEnds(t *testing.T, r *rand.Rand) {
	l := &lives{t: t, b: mqtttest.NewBroker(t), r: r}
	cfg := l.config()
	cfg.Resume = l.n(2) == 0
	client, err := mqtt.Start("mqtt://b", cfg)
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			l.nap(100 * time.Millisecond)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if l.n(2) == 0 {
				time.AfterFunc(time.Duration(l.n(int(5*time.Second))), cancel)
			}
			l.subscribe(ctx, client)
		})
	}
	all.Go(func() {
		for i := range 100 {
			l.nap(50 * time.Millisecond)
			l.b.Publish(&wire.Publish{Topic: "t", Payload: make([]byte, 4), QoS: wire.QoS(i % 3)})
		}
	})
	all.Go(func() {
		for client.Err() == nil {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, _ = client.Request(ctx, &mqtt.Message{Topic: "t", QoS: 1})
			cancel()
			l.nap(100 * time.Millisecond)
		}
	})
	l.nap(4 * time.Second)
	if l.n(2) == 0 {
		l.b.Drop()
	}
	l.end(client)
	<-client.Done()
	all.Wait()
	l.calls.Wait() // Respond may leave functions behind
	synctest.Wait()
}

// subscribe has a Subscription of some kind until ctx or the client ends.
func (l *lives) subscribe(ctx context.Context, client *mqtt.Client) {
	o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: []string{"t", "#", "$share/g/t"}[l.n(3)], QoS: mqtt.QoS(l.n(3))}}}
	o.OwnConnection = l.n(3) == 0
	work := func(context.Context, *mqtt.Message) error {
		l.calls.Add(1)
		defer l.calls.Done()
		l.nap(200 * time.Millisecond)
		if l.n(20) == 0 {
			return mqtt.ErrInvalid
		}
		return nil
	}
	switch l.n(3) {
	case 0:
		_ = client.RespondWith(ctx, mqtt.RespondOptions{SubscribeOptions: o}, func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			return m, work(ctx, m)
		})
		return
	case 1:
		o.Concurrency, o.Lend = l.n(3), l.n(2) == 0
		_ = client.Handle(ctx, o, work)
		return
	}
	o.ManualAck = l.n(2) == 0
	sub, err := client.SubscribeWith(ctx, o)
	if err != nil {
		return
	}
	var consumers sync.WaitGroup
	defer consumers.Wait()
	for range 1 + l.n(2) {
		consumers.Go(func() {
			for m := range sub.Stream(ctx) {
				_ = work(ctx, m)
				if l.n(3) > 0 {
					_ = m.Ack()
				}
			}
		})
	}
	l.nap(3 * time.Second)
	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	switch l.n(3) {
	case 0:
		_ = sub.Drain(limited)
	case 1:
		_ = sub.Unsubscribe(limited)
	}
}
