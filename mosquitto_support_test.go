package mqtt_test

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

// mosquittoPatience bounds the waits of one test. It is there to turn a hang
// into a message; nothing comes near it.
const mosquittoPatience = 3 * time.Minute

// mosquittoEager reconnects without delay, because a test breaks connections
// far more often than any network does.
var mosquittoEager = reconnect.Policy{Min: time.Millisecond, Max: 20 * time.Millisecond}

var mosquittoVersions = []struct {
	name    string
	version mqtt.Version
	spoken  mqtt.Version
}{
	{"3.1", mqtt.V31, mqtt.V31},
	{"3.1.1", mqtt.V311, mqtt.V311},
	{"5.0", mqtt.V5, mqtt.V5},
	{"auto", mqtt.Auto, mqtt.V5},
}

var mosquittoQoS = []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce, mqtt.ExactlyOnce}

// mosquittoEach runs a test once per version.
func mosquittoEach(t *testing.T, test func(*testing.T, mqtt.Version)) {
	for _, v := range mosquittoVersions {
		t.Run(v.name, func(t *testing.T) { test(t, v.version) })
	}
}

// mosquittoContext bounds one test.
func mosquittoContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), mosquittoPatience,
		fmt.Errorf("test ran for %v", mosquittoPatience))
	t.Cleanup(cancel)
	return ctx
}

// mosquittoStart runs a server. When the test is over, nothing of any client
// may be left.
func mosquittoStart(t *testing.T, o mosquitto.Options) *mosquitto.Server {
	t.Helper()
	t.Cleanup(func() { mosquittoRequireNoGoroutines(t) })
	return mosquitto.Start(t, o)
}

// mosquittoConnect returns a client that is closed with the test.
func mosquittoConnect(t *testing.T, url string, cfg mqtt.Config) *mqtt.Client {
	t.Helper()
	client, err := mqtt.Connect(mosquittoContext(t), url, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// mosquittoKeeping makes the server keep the session of clientID over
// connections and processes, in every version.
func mosquittoKeeping(v mqtt.Version, clientID string) mqtt.Config {
	return mqtt.Config{Version: v, ClientID: clientID, Resume: true, AlwaysSubscribe: true, Reconnect: mosquittoEager}
}

func mosquittoSubscribe(t *testing.T, client *mqtt.Client, filter string, qos mqtt.QoS) *mqtt.Subscription {
	t.Helper()
	sub, err := client.Subscribe(mosquittoContext(t), filter, qos)
	require.NoError(t, err)
	return sub
}

func mosquittoPublish(t *testing.T, client *mqtt.Client, topic, payload string, qos mqtt.QoS) {
	t.Helper()
	require.NoError(t, client.Publish(mosquittoContext(t), topic, []byte(payload), qos))
}

func mosquittoNext(t *testing.T, sub *mqtt.Subscription) *mqtt.Message {
	t.Helper()
	m, err := sub.Next(mosquittoContext(t))
	require.NoError(t, err)
	return m
}

// mosquittoWant requires the next messages of sub to have these payloads.
func mosquittoWant(t *testing.T, sub *mqtt.Subscription, payloads ...string) {
	t.Helper()
	for i, want := range payloads {
		require.Equal(t, want, string(mosquittoNext(t, sub).Payload), "message %d of %d", i, len(payloads))
	}
}

// mosquittoAwait takes events until one is as wanted.
func mosquittoAwait(t *testing.T, events <-chan mqtt.Event, what string, wanted func(mqtt.Event) bool) mqtt.Event {
	t.Helper()
	ctx := mosquittoContext(t)
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

// mosquittoAwaitSession waits for a new connection and wants to hear that of
// its session.
func mosquittoAwaitSession(t *testing.T, events <-chan mqtt.Event, want mqtt.SessionState) {
	t.Helper()
	e := mosquittoAwait(t, events, "connected again", func(e mqtt.Event) bool { return e.State == mqtt.Connected })
	require.Equal(t, want, e.Session, "0: new, 1: resumed, 2: lost")
}

// mosquittoFrame is a function of the library in the trace of a goroutine.
var mosquittoFrame = regexp.MustCompile(`(?m)^(created by )?github\.com/seed65a45251/mqtt(/session|/wire|/match)?\.`)

// mosquittoRequireNoGoroutines fails if a goroutine of the library runs. The
// last ones may need a moment to return after what they have announced.
func mosquittoRequireNoGoroutines(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		left := mosquittoGoroutines()
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

func mosquittoGoroutines() (ours []string) {
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
		if mosquittoFrame.MatchString(trace) {
			ours = append(ours, trace)
		}
	}
	return ours
}

// mosquittoCountUnproven counts the connections whose session was not proven.
func mosquittoCountUnproven(t *testing.T, c *mqtt.Client) *atomic.Int64 {
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
