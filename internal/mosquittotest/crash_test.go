package mosquittotest

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// numbered publishes and checks numbered messages: each publisher has a
// topic of its own and counts from 0.
type numbered struct {
	next       map[string]uint32 // by topic: the number that must come next
	first      int               // messages seen for the first time
	duplicates int
	flagged    int // of them, repeated by the server; the others by their publisher
}

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// take says what is wrong with m: a number that is too high means that those
// below it are lost, or come too late.
func (s *numbered) take(m *mqtt.Message) error {
	if len(m.Payload) != 4 {
		return fmt.Errorf("%s: payload of %d bytes", m.Topic, len(m.Payload))
	}
	n, next := binary.BigEndian.Uint32(m.Payload), s.next[m.Topic]
	switch {
	case n < next:
		s.duplicates++
		if m.Duplicate {
			s.flagged++
		}
	case n > next:
		return fmt.Errorf("%s: after message %d came %d (duplicate flag %t)", m.Topic, int(next)-1, n, m.Duplicate)
	default:
		s.next[m.Topic]++
		s.first++
	}
	return nil
}

// receive takes messages until each of total has come.
func (s *numbered) receive(ctx context.Context, sub *mqtt.Subscription, total int) error {
	s.next = make(map[string]uint32)
	for s.first < total {
		m, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("%d of %d messages came: %w; next by topic: %v", s.first, total, err, s.next)
		}
		if err := s.take(m); err != nil {
			return err
		}
	}
	return nil
}

// ackCount counts acknowledged messages and gives a token after every so
// many, except the last.
type ackCount struct {
	each   int
	counts chan int // closed when there will be no more
	tokens chan int // closed by run
}

func (a *ackCount) run(total int) {
	defer close(a.tokens)
	for sum := 0; sum < total; {
		before := sum / a.each
		n, ok := <-a.counts
		if !ok {
			return
		}
		if sum += n; sum/a.each > before && sum < total {
			a.tokens <- sum
		}
	}
}

// publishWindow publishes with a window: it does not wait for one message
// before it sends the next.
func publishWindow(ctx context.Context, client *mqtt.Client, topic string, qos mqtt.QoS, messages int, acked func(int)) error {
	g, ctx := errgroup.WithContext(ctx)
	window := make(chan *mqtt.Delivery, 8192)
	g.Go(func() error {
		defer close(window)
		for n := range messages {
			d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: topic, Payload: number(uint32(n)), QoS: qos})
			if err != nil {
				return fmt.Errorf("%s: message %d: %w", topic, n, err)
			}
			select {
			case window <- d:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	g.Go(func() error {
		for d := range window {
			if _, err := d.Wait(ctx); err != nil {
				return fmt.Errorf("%s: %w", topic, err)
			}
			acked(1)
		}
		return nil
	})
	return g.Wait()
}

func TestMosquittoKilledLosesAndReordersNothingAtQoS1(t *testing.T) {
	const (
		pipelined = 90_000
		writers   = 50 // that wait for each acknowledgement
		each      = 200
		total     = pipelined + writers*each
		killEvery = 14_000
	)
	server := startServer(t, mosquitto.Options{Durable: true})
	ctx := testContext(t)
	url := server.URL()
	subscriber := connectTo(t, url, keeping(mqtt.V5, "subscriber"))
	sub := subscribeTo(t, subscriber, "crash/+", mqtt.AtLeastOnce)
	pipeline := connectTo(t, url, mqtt.Config{Version: mqtt.V5, Reconnect: eager})
	blocking := connectTo(t, url, keeping(mqtt.V311, "blocking"))

	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	stream := &numbered{}
	g.Go(func() error { return stream.receive(ctx, sub, total) })

	acks := &ackCount{each: killEvery, counts: make(chan int), tokens: make(chan int, total/killEvery)}
	acked := func(n int) {
		select {
		case acks.counts <- n:
		case <-ctx.Done():
		}
	}
	var publishers errgroup.Group
	publishers.Go(func() error {
		return publishWindow(ctx, pipeline, "crash/pipeline", mqtt.AtLeastOnce, pipelined, acked)
	})
	for w := range writers {
		publishers.Go(func() error {
			topic := fmt.Sprintf("crash/%d", w)
			for n := range uint32(each) {
				if err := blocking.Publish(ctx, topic, number(n), mqtt.AtLeastOnce); err != nil {
					return err
				}
				acked(1)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(acks.counts)
		return publishers.Wait()
	})
	go acks.run(total)

	kills := 0
	for range acks.tokens {
		server.Kill()
		server.Restart()
		kills++
	}
	require.NoError(t, g.Wait())
	took := time.Since(began)
	t.Logf("%d messages in %v, %.0f/s; %d kills; %d duplicates, %d of them by the server; connections: subscriber %d, pipeline %d, blocking %d",
		total, took.Round(time.Millisecond), total/took.Seconds(), kills, stream.duplicates, stream.flagged,
		subscriber.Stats().Connections, pipeline.Stats().Connections, blocking.Stats().Connections)
	require.GreaterOrEqual(t, kills, 5)
	for _, client := range []*mqtt.Client{subscriber, pipeline, blocking} {
		require.Greater(t, client.Stats().Connections, uint64(1), "a kill went unnoticed")
	}
}
