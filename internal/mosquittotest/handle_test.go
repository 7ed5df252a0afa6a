package mosquittotest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// content is a payload that tells its number and whether it is whole.
func content(n uint32) []byte {
	return bytes.Repeat(number(n), 1+int(n*2654435761%200))
}

// handled notes what handlers get, which run at the same time.
type handled struct {
	mu   sync.Mutex
	busy map[string]bool
	next map[string]uint32 // by topic: the number that must come next
	sum  int               // QoS 1 and 2, each once
}

var errMosquittoHandled = errors.New("all handled")

func (h *handled) begin(m *mqtt.Message) (n uint32, err error) {
	if len(m.Payload) < 4 {
		return 0, fmt.Errorf("%s: payload of %d bytes", m.Topic, len(m.Payload))
	}
	n = binary.BigEndian.Uint32(m.Payload)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[m.Topic] {
		return n, fmt.Errorf("%s: two at once", m.Topic)
	}
	h.busy[m.Topic] = true
	return n, nil
}

func (h *handled) end(m *mqtt.Message, n uint32, total int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy[m.Topic] = false
	if !bytes.Equal(m.Payload, content(n)) {
		return fmt.Errorf("%s: message %d is not what was sent", m.Topic, n)
	}
	next := h.next[m.Topic]
	switch {
	case m.QoS == mqtt.AtMostOnce:
		if n < next {
			return fmt.Errorf("%s: after message %d came %d at QoS 0", m.Topic, int(next)-1, n)
		}
		h.next[m.Topic] = n + 1
		return nil
	case n < next && m.QoS == mqtt.AtLeastOnce:
		return nil // again
	case n != next:
		return fmt.Errorf("%s: after message %d came %d at QoS %d", m.Topic, int(next)-1, n, m.QoS)
	}
	h.next[m.Topic]++
	if h.sum++; h.sum == total {
		return errMosquittoHandled
	}
	return nil
}

// Handlers that run at the same time get lent messages over a line that is cut
// again and again. They see the content whole after others had their turn, one
// message of a topic at a time, in order, QoS 1 and 2 without a gap.
func TestMosquittoBehindACutLineIsHandledConcurrently(t *testing.T) {
	const (
		messages = 3000 // for each QoS
		topics   = 5
		window   = 20
	)
	server := startServer(t, mosquitto.Options{MaxInflight: window})
	line := faultproxy.New(t, server.Addr())
	// More than Mosquitto has in flight when it resumes, which is up to 250 KB here. A
	// line that is cut within that lets hardly an acknowledgement through, and whether
	// the test ends is chance.
	line.RandomCuts(rand.Uint64(), 300_000, 500_000)
	subscriber := connectTo(t, line.URL(), mqtt.Config{Version: mqtt.V5, Reconnect: eager,
		RetryFirst: true, ReceiveMaximum: 10 * window})
	publisher := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})

	h := &handled{busy: make(map[string]bool), next: make(map[string]uint32)}
	subscribed := make(chan struct{})
	var once sync.Once
	g, ctx := errgroup.WithContext(testContext(t))
	g.Go(func() error {
		err := subscriber.Handle(ctx, mqtt.SubscribeOptions{
			Filters:     []mqtt.Filter{{Filter: "cut/#", QoS: mqtt.ExactlyOnce}},
			Lend:        true,
			Concurrency: 4,
		}, func(_ context.Context, m *mqtt.Message) error {
			if m.Topic == "cut/begin" {
				once.Do(func() { close(subscribed) })
				return nil
			}
			n, err := h.begin(m)
			if err != nil {
				return err
			}
			// Others run before the content is looked at.
			subscriber.Stats()
			return h.end(m, n, 2*messages)
		})
		if errors.Is(err, errMosquittoHandled) {
			return nil
		}
		return err
	})
	publishRetained(t, publisher, "cut/begin")
	<-subscribed
	for qos := range mqtt.QoS(3) {
		g.Go(func() error {
			for n := range messages {
				m := &mqtt.Message{Topic: fmt.Sprintf("cut/%d/%d", qos, n%topics), Payload: content(uint32(n / topics)), QoS: qos}
				if err := publisher.PublishMessage(ctx, m); err != nil && ctx.Err() == nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	cuts := line.Stats().Cut
	t.Logf("%d cuts", cuts)
	require.Greater(t, cuts, 3, "hardly anything was cut")
}

func publishRetained(t *testing.T, client *mqtt.Client, topic string) {
	t.Helper()
	m := &mqtt.Message{Topic: topic, Payload: []byte("retained"), QoS: mqtt.AtLeastOnce, Retain: true}
	require.NoError(t, client.PublishMessage(testContext(t), m))
}

// Mosquitto sends a message once for each filter that it matches. Those of a Mux do not
// overlap, so each message is handled once.
func TestMosquittoSendsAMuxEachMessageOnce(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		var noted []string
		last := make(chan struct{})
		note := func(ctx context.Context, m *mqtt.Message) error {
			values := mqtt.MuxValues(ctx)
			noted = append(noted, fmt.Sprint(m.Topic, " ", int(m.QoS), " ", values.Pattern(), " ", values.List()))
			if m.Topic == "mux/last" {
				close(last)
			}
			return nil
		}
		mux, err := mqtt.NewMux(
			mqtt.MuxHandler{Pattern: "mux/{all...}", Handle: note},
			mqtt.MuxHandler{Pattern: "mux/{id}/up", QoS: mqtt.ExactlyOnce, Handle: note},
			mqtt.MuxHandler{Pattern: "mux/7/{what}", QoS: mqtt.AtLeastOnce, Handle: note},
		)
		require.ErrorIs(t, err, mqtt.ErrInvalid, "the last two overlap at mux/7/up")
		require.Nil(t, mux)
		mux, err = mqtt.NewMux(
			mqtt.MuxHandler{Pattern: "mux/{all...}", Handle: note},
			mqtt.MuxHandler{Pattern: "mux/{id}/up", QoS: mqtt.ExactlyOnce, Handle: note},
			mqtt.MuxHandler{Pattern: "mux/{id}/{what}", QoS: mqtt.AtLeastOnce, Handle: note},
		)
		require.NoError(t, err)
		sub, err := client.SubscribeWith(testContext(t), mqtt.SubscribeOptions{Filters: mux.Filters()})
		require.NoError(t, err)
		var handling errgroup.Group
		ctx, cancel := context.WithCancel(testContext(t))
		handling.Go(func() error { return sub.Handle(ctx, mux.Handle) })
		for _, topic := range []string{"mux/7/up", "mux/7/down", "mux", "mux/a/b/c", "mux/last"} {
			publish(t, client, topic, "x", mqtt.ExactlyOnce)
		}
		<-last
		cancel()
		require.ErrorIs(t, handling.Wait(), context.Canceled)
		require.Equal(t, []string{
			"mux/7/up 2 mux/{id}/up [7]",
			"mux/7/down 2 mux/{id}/{what} [7 down]",
			"mux 2 mux/{all...} []",
			"mux/a/b/c 2 mux/{all...} [a/b/c]",
			"mux/last 2 mux/{all...} [last]",
		}, noted)
	})
}
