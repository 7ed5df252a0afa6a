package mosquittotest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// The connections of publisher and subscriber end after random numbers of bytes,
// in the middle of packets, half of them by RST; those of the publisher also in
// the middle of handshakes.
//
// What Mosquitto repeats after a reconnect has to reach the subscriber whole.
// One that is cut off while Mosquitto 2.0.11 repeats PUBRELs gets, the next
// time, the PUBLISHes of those that were not written yet: messages which it has
// had and released.
func TestMosquittoBehindACutLineGetsQoS2ExactlyOnce(t *testing.T) {
	for _, test := range []struct {
		name                  string
		publisher, subscriber mqtt.Config
	}{
		// Of 5.0 the default must do.
		{"5.0", mqtt.Config{Version: mqtt.V5}, mqtt.Config{Version: mqtt.V5}},
		{"3.1.1", keeping(mqtt.V311, "publisher"), keeping(mqtt.V311, "subscriber")},
	} {
		t.Run(test.name, func(t *testing.T) {
			const (
				messages = 10_000
				window   = 20
			)
			server := startServer(t, mosquitto.Options{MaxInflight: window})
			connect := func(cfg mqtt.Config, atLeast, atMost int) (*faultproxy.Proxy, *mqtt.Client) {
				proxy := faultproxy.New(t, server.Addr())
				proxy.RandomCuts(rand.Uint64(), atLeast, atMost)
				cfg.Reconnect = eager
				cfg.RetryFirst = true
				// More than Mosquitto takes in at once would be lost: it answers a
				// repeated PUBLISH with PUBREC although it has only queued it, and
				// then does not find it for PUBREL.
				cfg.Inflight = window
				// Mosquitto 2.0.11 has more in flight to a 5.0 client than this, now and then.
				cfg.ReceiveMaximum = 10 * window
				return proxy, connectTo(t, proxy.URL(), cfg)
			}
			subscriberLine, subscriber := connect(test.subscriber, 6_000, 30_000)
			publisherLine, publisher := connect(test.publisher, 20, 12_000)
			sub := subscribeTo(t, subscriber, "cut", mqtt.ExactlyOnce)
			unproven := countUnproven(t, publisher)

			began := time.Now()
			g, ctx := errgroup.WithContext(testContext(t))
			stream := &numbered{}
			g.Go(func() error { return stream.receive(ctx, sub, messages) })
			g.Go(func() error {
				return publishWindow(ctx, publisher, "cut", mqtt.ExactlyOnce, messages, func(int) {})
			})
			require.NoError(t, g.Wait())
			took := time.Since(began)

			// Whatever was sent twice would come before this.
			subscriberLine.RandomCuts(0, 0, 0)
			publisherLine.RandomCuts(0, 0, 0)
			publish(t, publisher, "cut", "end", mqtt.ExactlyOnce)
			wantPayloads(t, sub, "end")
			p, s := publisherLine.Stats().Cut, subscriberLine.Stats().Cut
			t.Logf("%d messages in %v, %.0f/s; cuts: publisher %d, subscriber %d",
				messages, took.Round(time.Millisecond), messages/took.Seconds(), p, s)
			// After a CONNACK that got lost, what had its PUBREC is published again.
			require.LessOrEqual(t, stream.duplicates, window*int(unproven.Load()), "each unproven session may repeat a window")
			require.Greater(t, p, 10, "hardly anything was cut")
			require.Greater(t, s, 5, "hardly anything was cut")
		})
	}
}
