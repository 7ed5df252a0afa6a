package mosquittotest

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/reconnect"
)

// patience bounds the waits of one test. It is there to turn a hang
// into a message; nothing comes near it.
const patience = 3 * time.Minute

// eager reconnects without delay, because a test breaks connections
// far more often than any network does.
var eager = reconnect.Policy{Min: time.Millisecond, Max: 20 * time.Millisecond}

var versions = []struct {
	name    string
	version mqtt.Version
	spoken  mqtt.Version
}{
	{"3.1", mqtt.V31, mqtt.V31},
	{"3.1.1", mqtt.V311, mqtt.V311},
	{"5.0", mqtt.V5, mqtt.V5},
	{"auto", mqtt.Auto, mqtt.V5},
}

var everyQoS = []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce, mqtt.ExactlyOnce}

// eachVersion runs a test once per version.
func eachVersion(t *testing.T, test func(*testing.T, mqtt.Version)) {
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) { test(t, v.version) })
	}
}

// testContext bounds one test.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience,
		fmt.Errorf("test ran for %v", patience))
	t.Cleanup(cancel)
	return ctx
}

// startServer runs a server. When the test is over, nothing of any client
// may be left.
func startServer(t *testing.T, o mosquitto.Options) *mosquitto.Server {
	t.Helper()
	t.Cleanup(func() { requireNoGoroutines(t) })
	return mosquitto.Start(t, o)
}

// connectTo returns a client that is closed with the test.
func connectTo(t *testing.T, url string, cfg mqtt.Config) *mqtt.Client {
	t.Helper()
	client, err := mqtt.Connect(testContext(t), url, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// keeping makes the server keep the session of clientID over
// connections and processes, in every version.
func keeping(v mqtt.Version, clientID string) mqtt.Config {
	return mqtt.Config{Version: v, ClientID: clientID, Resume: true, AlwaysSubscribe: true, Reconnect: eager}
}

func subscribeTo(t *testing.T, client *mqtt.Client, filter string, qos mqtt.QoS) *mqtt.Subscription {
	t.Helper()
	sub, err := client.Subscribe(testContext(t), filter, qos)
	require.NoError(t, err)
	return sub
}

func publish(t *testing.T, client *mqtt.Client, topic, payload string, qos mqtt.QoS) {
	t.Helper()
	require.NoError(t, client.Publish(testContext(t), topic, []byte(payload), qos))
}

func receive(t *testing.T, sub *mqtt.Subscription) *mqtt.Message {
	t.Helper()
	m, err := sub.Next(testContext(t))
	require.NoError(t, err)
	return m
}

// wantPayloads requires the next messages of sub to have these payloads.
func wantPayloads(t *testing.T, sub *mqtt.Subscription, payloads ...string) {
	t.Helper()
	for i, want := range payloads {
		require.Equal(t, want, string(receive(t, sub).Payload), "message %d of %d", i, len(payloads))
	}
}

// await takes events until one is as wanted.
func await(t *testing.T, events <-chan mqtt.Event, what string, wanted func(mqtt.Event) bool) mqtt.Event {
	t.Helper()
	ctx := testContext(t)
	var seen []mqtt.Event
	for {
		select {
		case e, ok := <-events:
			if ok && wanted(e) {
				return e
			}
			seen = append(seen, e)
			if !ok {
				t.Fatalf("the client ended before it was %s; events: %+v", what, seen)
			}
		case <-ctx.Done():
			t.Fatalf("the client was never %s; events: %+v", what, seen)
		}
	}
}

// awaitSession waits for a new connection and wants to hear that of
// its session.
func awaitSession(t *testing.T, events <-chan mqtt.Event, want mqtt.SessionState) {
	t.Helper()
	e := await(t, events, "connected again", func(e mqtt.Event) bool { return e.State == mqtt.Connected })
	require.Equal(t, want, e.Session, "0: new, 1: resumed, 2: lost")
}

// libraryFrame is a function of the library in the trace of a goroutine.
var libraryFrame = regexp.MustCompile(`(?m)^(created by )?github\.com/seed65a45251/mqtt(/session|/wire|/match|/internal/transport)?\.`)

// requireNoGoroutines fails if a goroutine of the library runs. The
// last ones may need a moment to return after what they have announced.
func requireNoGoroutines(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		left := goroutinesOfLibrary()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines of the library are left:\n%s", len(left), strings.Join(left, "\n\n"))
			return
		}
		runtime.Gosched()
	}
}

func goroutinesOfLibrary() (ours []string) {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	for trace := range strings.SplitSeq(string(buf), "\n\n") {
		if libraryFrame.MatchString(trace) {
			ours = append(ours, trace)
		}
	}
	return ours
}

// countUnproven counts the connections whose session was not proven.
func countUnproven(t *testing.T, c *mqtt.Client) *atomic.Int64 {
	n := new(atomic.Int64)
	events := c.Watch(t.Context())
	go func() {
		for e := range events {
			if e.Unproven {
				n.Add(1)
			}
		}
	}()
	return n
}
