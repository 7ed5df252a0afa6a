package chaostest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/internal/pipe"
)

// cutting is a way in which the first connection fails after some bytes.
type cutting struct {
	name string
	cut  func(l *faultproxy.Proxy, up, down int)
	// within bounds, in fake time, how long the script takes with it.
	within time.Duration
}

const (
	connectTimeout = 15 * time.Second // the default
	// noticed is within how long a silent connection is found out: by the time that
	// connecting may take, or by keep-alive.
	noticed = connectTimeout + keepAlive
)

var cuttings = []cutting{
	{"cut", (*faultproxy.Proxy).CutAfter, time.Second},
	{"silent", (*faultproxy.Proxy).SilenceAfter, noticed},
}

// scripted is one run of the script in fake time, with our broker behind a line of a
// scheme. It returns how many bytes have gone up and down.
func scripted(t *testing.T, scheme string, v mqtt.Version, prepare func(*faultproxy.Proxy)) (up, down int) {
	t.Helper()
	b := newBroker(t)
	l := inMemoryWith(t, serve(t, b, scheme))
	prepare(l.Proxy)
	cfg := l.config("script", v)
	cfg.TLS = &tls.Config{InsecureSkipVerify: true}
	require.NoError(t, playScript(t.Context(), scheme+"://broker", cfg))
	l.Drop()
	return int(l.BytesUp()), int(l.BytesDown())
}

// serve has b serve a scheme on a listener in memory, and returns what dials it.
func serve(t *testing.T, b *broker.Broker, scheme string) faultproxy.DialFunc {
	l := pipe.Listen(0)
	serving := net.Listener(l)
	if scheme == "mqtts" || scheme == "wss" {
		serving = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	}
	f := b.Serve
	if strings.HasPrefix(scheme, "ws") {
		f = b.ServeWebSocket
	}
	go func() { _ = f(context.Background(), serving) }()
	t.Cleanup(func() { l.Close() })
	return l.Dial
}

// TestConnectionIsCutAtEveryByte cuts the first connection of a client at each byte, in
// each direction: of the exchange, of the handshake of TLS, and of the upgrade to a
// WebSocket. The client comes back and finishes, and nothing is lost or doubled.
func TestConnectionIsCutAtEveryByte(t *testing.T) {
	for _, scheme := range []string{"mqtt", "mqtts", "ws", "wss"} {
		for _, c := range cuttings {
			t.Run(scheme+" "+c.name, func(t *testing.T) {
				t.Parallel()
				cutEverywhere(t, scheme, c)
			})
		}
	}
}

func cutEverywhere(t *testing.T, scheme string, c cutting) {
	var up, down int
	synctest.Test(t, func(t *testing.T) { up, down = scripted(t, scheme, mqtt.V5, func(*faultproxy.Proxy) {}) })
	runs := 0
	for at := 0; at < max(up, down); at += step(scheme, c) {
		for _, place := range [][2]int{{at, -1}, {-1, at}} {
			if place[0] >= up || place[1] >= down {
				continue
			}
			for _, v := range versionsAt(scheme, at) {
				runs++
				synctest.Test(t, func(t *testing.T) {
					begun := time.Now()
					scripted(t, scheme, v, func(l *faultproxy.Proxy) { c.cut(l, place[0], place[1]) })
					require.LessOrEqual(t, time.Since(begun), c.within)
				})
				if t.Failed() {
					t.Fatalf("on %v, after %d bytes up or %d bytes down (negative: never)", v, place[0], place[1])
				}
			}
		}
	}
	t.Logf("%d bytes up, %d bytes down, %d runs", up, down, runs)
	require.GreaterOrEqual(t, runs, (up+down)/step(scheme, c))
}

// step is how many bytes are between two cuts. Where a run costs much, because of TLS or
// the race detector, not every scheme is cut at each byte in each way, unless -everywhere
// is set.
func step(scheme string, c cutting) int {
	cheap := scheme == "mqtt" || c.within < connectTimeout && scheme != "wss"
	switch {
	case *everywhere:
		return 1
	case cheap:
		return fewer(1, 37)
	}
	return fewer(7, 61)
}

// versionsAt are the versions for one cut: each where a run costs little.
func versionsAt(scheme string, at int) []mqtt.Version {
	if scheme == "mqtt" {
		return versions
	}
	return versions[at%2:][:1]
}

// TestConnectionIsCutAtEveryByteOnSockets does so with real servers, by FIN and by RST.
func TestConnectionIsCutAtEveryByteOnSockets(t *testing.T) {
	eachServer(t, func(t *testing.T, server string, v mqtt.Version) {
		l := onSockets(t, server)
		runs := 0
		play := func(up, down int, cut func(up, down int)) {
			cut(up, down)
			// Each has a session of its own: what the last cut has left of one stays there.
			cfg := l.config(fmt.Sprint("script", runs), v)
			require.NoError(t, playScript(t.Context(), l.url, cfg), "after %d bytes up or %d bytes down (negative: never)", up, down)
			runs++
		}
		play(-1, -1, l.CutAfter)
		up, down := int(l.BytesUp()), int(l.BytesDown())
		for at := range max(up, down) {
			play(at, -1, l.CutAfter)
			play(-1, at, l.CutAfter)
			play(at, -1, l.ResetAfter)
			play(-1, at, l.ResetAfter)
		}
		require.Greater(t, l.Stats().Cut, up+down)
		t.Logf("%d bytes up, %d bytes down, %d runs, %d cuts", up, down, runs, l.Stats().Cut)
	})
}

// TestMosquittoIsCutInTheHandshakeOfTLS cuts at some bytes of it, with real certificates.
func TestMosquittoIsCutInTheHandshakeOfTLS(t *testing.T) {
	t.Parallel()
	rng := draw(newSeed(t), 0)
	server := mosquitto.Start(t, mosquitto.Options{TLS: true})
	l := onSockets(t, server.TLSAddr())
	play := func() error {
		cfg := l.config("", mqtt.V5)
		cfg.TLS = server.ClientTLS()
		return playScript(t.Context(), strings.Replace(l.url, "mqtt:", "mqtts:", 1), cfg)
	}
	require.NoError(t, play())
	up, down := int(l.BytesUp()), int(l.BytesDown())
	for range 60 {
		l.CutAfter(rng.IntN(up), -1)
		require.NoError(t, play())
		l.ResetAfter(-1, rng.IntN(down))
		require.NoError(t, play())
	}
	require.GreaterOrEqual(t, l.Stats().Cut, 100)
}
