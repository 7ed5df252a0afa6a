package chaostest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/reconnect"
)

// versions are those of every test.
var versions = []mqtt.Version{mqtt.V311, mqtt.V5}

func eachVersion(t *testing.T, f func(*testing.T, mqtt.Version)) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) { f(t, v) })
	}
}

// newBroker returns our broker with room for what waits while lines are broken.
func newBroker(t *testing.T) *broker.Broker {
	b := broker.New(broker.Config{QueuedBytes: 1 << 30, QueuedMessages: 1 << 20})
	t.Cleanup(func() { b.Close() })
	return b
}

// address is where the server of a test is. Without a dial function it is on a socket.
type address struct {
	url  string
	dial func(context.Context, string, string) (net.Conn, error)
}

// line is a way to a server that can be broken.
type line struct {
	*faultproxy.Proxy
	address
}

// inMemory returns a line in memory to b, for fake time.
func inMemory(t *testing.T, b *broker.Broker) *line { return inMemoryWith(t, b.Dial) }

// inMemoryWith returns a line in memory to what server dials.
func inMemoryWith(t *testing.T, server faultproxy.DialFunc) *line {
	l := pipe.Listen(0)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }
	return &line{faultproxy.NewListener(t, l, server), address{"mqtt://broker", dial}}
}

// onSockets returns a line to a server at that TCP address.
func onSockets(t *testing.T, server string) *line {
	p := faultproxy.New(t, server)
	return &line{p, address{url: p.URL()}}
}

// eachServer runs a test with our broker and with Mosquitto, at each version, all at the
// same time. Each has a server of its own, on a socket.
func eachServer(t *testing.T, f func(t *testing.T, server string, v mqtt.Version)) {
	for name, start := range map[string]func(*testing.T) string{"broker": startBroker, "Mosquitto": startMosquitto} {
		for _, v := range versions {
			t.Run(name+" "+v.String(), func(t *testing.T) {
				t.Parallel()
				f(t, start(t), v)
			})
		}
	}
}

func startBroker(t *testing.T) string { return listen(t, newBroker(t)) }

// listen returns the address at which b listens.
func listen(t *testing.T, b *broker.Broker) string {
	addr, err := b.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return addr.String()
}

func startMosquitto(t *testing.T) string {
	return mosquitto.Start(t, mosquitto.Options{MaxInflight: 2 * inflight}).Addr()
}

// config is that of a client whose session stays on the server, whatever happens to its
// connections, and that comes back soon.
func (a address) config(name string, v mqtt.Version) mqtt.Config {
	return mqtt.Config{
		ClientID: name, Version: v, Dial: a.dial, RetryFirst: true, KeepAlive: keepAlive,
		// On 5.0 the client shall be able to do without.
		Resume: v != mqtt.V5, AlwaysSubscribe: v != mqtt.V5, SessionExpiry: 24 * time.Hour,
		Reconnect: reconnect.Policy{Min: time.Millisecond, Max: 50 * time.Millisecond},
	}
}

// keepAlive is the least that there is, beside none.
const keepAlive = time.Second

// connect returns a client that ends with the test.
func (a address) connect(t *testing.T, cfg mqtt.Config) *mqtt.Client {
	t.Helper()
	client, err := mqtt.Connect(t.Context(), a.url, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}
