package bridge

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/target"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/reconnect"
)

// eager makes tests quick where a server comes back.
var eager = reconnect.Policy{Min: time.Millisecond, Max: 50 * time.Millisecond}

// serve runs a broker at address, and returns its URL and its end.
func serve(t *testing.T, address string) (*broker.Broker, string) {
	t.Helper()
	b := broker.New(broker.Config{})
	t.Cleanup(func() { b.Close() })
	at, err := b.Listen(context.Background(), "tcp", address)
	require.NoError(t, err)
	return b, "mqtt://" + at.String()
}

// run runs a bridge until the test ends or stop is called.
func run(t *testing.T, f *flags, local, remote string, v mqtt.Version) (stop func()) {
	t.Helper()
	s, err := f.settings([]string{local, remote})
	require.NoError(t, err)
	b := &bridge{settings: s, note: t.Logf, debug: t.Logf}
	cfg := mqtt.Config{Version: v, Reconnect: eager}
	b.local, b.remote = &target.Target{Server: local, Config: cfg}, &target.Target{Server: remote, Config: cfg}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.run(ctx) }()
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cancel()
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(stop)
	return stop
}

func connect(t *testing.T, url string, cfg mqtt.Config) *mqtt.Client {
	t.Helper()
	cfg.Reconnect = eager
	client, err := mqtt.Connect(t.Context(), url, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func subscribe(t *testing.T, c *mqtt.Client, filter string) *mqtt.Subscription {
	t.Helper()
	sub, err := c.SubscribeWith(t.Context(), mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: filter, QoS: mqtt.ExactlyOnce, RetainAsPublished: true}},
	})
	require.NoError(t, err)
	return sub
}

func next(t *testing.T, s *mqtt.Subscription) *mqtt.Message {
	t.Helper()
	m, err := s.Next(t.Context())
	require.NoError(t, err)
	return m
}

// awaitBridge returns when the bridge takes messages from one server to the other.
func awaitBridge(t *testing.T, from, to *mqtt.Client, topic, there string) {
	t.Helper()
	sub := subscribe(t, to, there)
	for i := 0; ; i++ { // what is published before the bridge has subscribed reaches nobody
		require.NoError(t, from.Publish(t.Context(), topic, fmt.Append(nil, i), mqtt.AtLeastOnce))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := sub.Next(ctx)
		cancel()
		if err == nil {
			break
		}
		require.NoError(t, t.Context().Err())
	}
	require.NoError(t, sub.Unsubscribe(t.Context()))
}

// both publishes on either side and expects everything once on the other.
func both(t *testing.T, here, there *mqtt.Client) {
	t.Helper()
	awaitBridge(t, here, there, "home/ready", "site/home/ready")
	awaitBridge(t, there, here, "site/home/ready", "home/ready")
	atHome, away := subscribe(t, here, "home/x/#"), subscribe(t, there, "site/home/x/#")
	for i, qos := range []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
		topic := fmt.Sprintf("home/x/%d", i)
		for _, way := range []struct {
			from      *mqtt.Client
			topic     string
			own, away *mqtt.Subscription
			expected  string
		}{{here, topic, atHome, away, "site/" + topic}, {there, "site/" + topic, away, atHome, topic}} {
			require.NoError(t, way.from.Publish(t.Context(), way.topic, []byte("m"), qos))
			m := next(t, way.away)
			require.Equal(t, way.expected, m.Topic)
			require.Equal(t, qos, m.QoS)
			// Its own side gets it from the server, and not again by way of the bridge.
			require.Equal(t, way.topic, next(t, way.own).Topic)
		}
	}
	require.NoError(t, here.Publish(t.Context(), "home/x/end", nil, mqtt.ExactlyOnce))
	require.Equal(t, "home/x/end", next(t, atHome).Topic)
	require.Equal(t, "site/home/x/end", next(t, away).Topic)
}

func TestMessagesGoEitherWayOnce(t *testing.T) {
	_, local := serve(t, "127.0.0.1:0")
	_, remote := serve(t, "127.0.0.1:0")
	run(t, &flags{both: []string{"home/#"}, remotePrefix: "site/"}, local, remote, mqtt.V5)
	both(t, connect(t, local, mqtt.Config{}), connect(t, remote, mqtt.Config{}))
}

func TestPropertiesAndTheRetainFlagAreKept(t *testing.T) {
	_, local := serve(t, "127.0.0.1:0")
	_, remote := serve(t, "127.0.0.1:0")
	here, there := connect(t, local, mqtt.Config{}), connect(t, remote, mqtt.Config{})
	sent := &mqtt.Message{
		Topic: "a", Payload: []byte("p"), QoS: mqtt.AtLeastOnce, Retain: true, ContentType: "text/plain", PayloadFormatUTF8: true,
		ResponseTopic: "r", CorrelationData: []byte("c"), UserProperties: []mqtt.UserProperty{{Name: "k", Value: "v"}},
	}
	require.NoError(t, here.PublishMessage(t.Context(), sent)) // retained: it comes when the bridge does
	sub := subscribe(t, there, "a")
	run(t, &flags{out: []string{"#"}, id: "b1"}, local, remote, mqtt.V5)
	m := next(t, sub)
	require.True(t, m.Retain)
	require.Equal(t, []any{"text/plain", true, "r", "c"}, []any{m.ContentType, m.PayloadFormatUTF8, m.ResponseTopic, string(m.CorrelationData)})
	require.Equal(t, []mqtt.UserProperty{{Name: "k", Value: "v"}, {Name: path, Value: "b1"}}, m.UserProperties)
}

// Three bridges in a ring pass each message on until it would be where it was.
func TestARingOfBridgesEnds(t *testing.T) {
	var urls []string
	var clients []*mqtt.Client
	for range 3 {
		_, url := serve(t, "127.0.0.1:0")
		urls, clients = append(urls, url), append(clients, connect(t, url, mqtt.Config{}))
	}
	for i := range urls {
		run(t, &flags{out: []string{"ring/#"}, id: fmt.Sprint("b", i)}, urls[i], urls[(i+1)%3], mqtt.V5)
	}
	for i := range urls {
		awaitBridge(t, clients[i], clients[(i+1)%3], "ring/ready", "ring/ready")
	}
	subs := []*mqtt.Subscription{subscribe(t, clients[0], "ring/x"), subscribe(t, clients[1], "ring/x"), subscribe(t, clients[2], "ring/x")}
	for i := range 10 {
		require.NoError(t, clients[0].Publish(t.Context(), "ring/x", fmt.Append(nil, i), mqtt.AtLeastOnce))
	}
	for i := range 10 { // once on each of the others, and once more where it is from
		want := fmt.Sprint(i)
		require.Equal(t, want, string(next(t, subs[1]).Payload))
		require.Equal(t, want, string(next(t, subs[2]).Payload))
	}
	counts := map[string]int{}
	for range 20 {
		counts[string(next(t, subs[0]).Payload)]++
	}
	for i := range 10 {
		require.Equal(t, 2, counts[fmt.Sprint(i)])
	}
}

// With a store the bridge takes what comes for a server that is away, also over its own
// end.
func TestMessagesForAServerThatIsAwayWaitInTheStore(t *testing.T) {
	_, local := serve(t, "127.0.0.1:0")
	away, remote := serve(t, "127.0.0.1:0")
	here := connect(t, local, mqtt.Config{})
	f := &flags{out: []string{"#"}, store: t.TempDir()}
	stop := run(t, f, local, remote, mqtt.V5)
	awaitBridge(t, here, connect(t, remote, mqtt.Config{}), "ready", "ready")
	require.NoError(t, away.Close())
	for i := range 100 {
		require.NoError(t, here.Publish(t.Context(), "kept", fmt.Append(nil, i), mqtt.ExactlyOnce))
	}
	stop()

	again, _ := serve(t, remote[len("mqtt://"):])
	defer again.Close()
	sub := subscribe(t, connect(t, remote, mqtt.Config{}), "kept")
	run(t, f, local, remote, mqtt.V5)
	for i := range 100 {
		require.Equal(t, fmt.Sprint(i), string(next(t, sub).Payload))
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for want, f := range map[string]*flags{
		"give a route":  {},
		"wildcard":      {out: []string{"a"}, localPrefix: "+/"},
		"shared filter": {in: []string{"$share/g/a"}},
		"no such file":  {config: "absent.toml"},
		"a/#/b":         {both: []string{"a/#/b"}},
	} {
		_, err := f.settings([]string{"mqtt://a", "mqtt://b"})
		require.ErrorContains(t, err, want)
	}
	_, err := (&flags{out: []string{"#"}}).settings([]string{"mqtt://a"})
	require.ErrorContains(t, err, "two servers")
	_, err = (&flags{out: []string{"#"}}).settings([]string{"mqtt://a", "mqtt://a"})
	require.ErrorContains(t, err, "the same server")
}

func TestTopicsGetTheOtherPrefix(t *testing.T) {
	routes := []Route{
		{Filter: "a/#", Direction: Out, LocalPrefix: "l/", RemotePrefix: "r/"},
		{Filter: "+/x", Direction: Both},
		{Filter: "", Direction: In, LocalPrefix: "l", RemotePrefix: "r"},
	}
	for from, want := range map[string]string{"l/a/b": "r/a/b", "l/a": "r/a", "q/x": "q/x", "else": ""} {
		to, ok := topic(lanes(routes, Out), from)
		require.Equal(t, want, to)
		require.Equal(t, want != "", ok)
	}
	to, ok := topic(lanes(routes, In), "r")
	require.True(t, ok)
	require.Equal(t, "l", to)
}

// Mosquitto keeps from a bridge what the bridge has published, before 5.0 by its mark.
func TestMessagesGoEitherWayOnceWithMosquitto(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V31} {
		t.Run(v.String(), func(t *testing.T) {
			local, remote := mosquitto.Start(t, mosquitto.Options{}), mosquitto.Start(t, mosquitto.Options{})
			f := &flags{both: []string{"home/#"}, remotePrefix: "site/", id: "b"}
			run(t, f, local.URL(), remote.URL(), v)
			both(t, connect(t, local.URL(), mqtt.Config{}), connect(t, remote.URL(), mqtt.Config{}))
		})
	}
}

// TestTellsOfAConnectionThatIsOlder begins to watch a client that is connected already.
func TestTellsOfAConnectionThatIsOlder(t *testing.T) {
	_, url := serve(t, "127.0.0.1:0")
	client := connect(t, url, mqtt.Config{})
	notes := make(chan string, 10)
	b := &bridge{note: func(format string, args ...any) { notes <- fmt.Sprintf(format, args...) }}
	go b.watch("local", side{client: client})
	require.Equal(t, "local: connected", <-notes)

	require.NoError(t, client.Reconnect(t.Context()))
	require.Contains(t, <-notes, "trying again")
	require.Equal(t, "local: connected", <-notes)
}
