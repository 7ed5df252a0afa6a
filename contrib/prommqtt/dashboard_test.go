package prommqtt_test

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/prommqtt"
	"github.com/seed65a45251/mqtt/match"
)

// queries returns all expressions of the dashboard, by the title of their panel.
func queries(t *testing.T) (all [][2]string) {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	variables := strings.NewReplacer("$client", ".*", "$broker", ".*", "$__rate_interval", "10s")
	rows := 0
	for _, p := range dashboard.Panels {
		if p.Type == "row" {
			rows++
			continue
		}
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			expr := variables.Replace(target.Expr)
			require.NotContains(t, expr, "$")
			all = append(all, [2]string{p.Title, expr})
		}
	}
	require.Equal(t, 3, rows, "clients, their messages, brokers")
	return all
}

// metrics serves the figures of a broker and of two clients that have something to do until
// the test ends. second ends the second one.
func metrics(t *testing.T) (target *httptest.Server, second *mqtt.Client) {
	t.Helper()
	b := broker.New(broker.Config{})
	t.Cleanup(func() { b.Close() })
	address, err := b.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, messages := prommqtt.NewCollector(), prommqtt.NewMessages(match.MustParsePattern("busy/{name}"))
	require.NoError(t, c.AddBroker("main", b))
	clients := make(map[string]*mqtt.Client)
	for _, name := range []string{"first", "second"} {
		client, err := mqtt.Connect(t.Context(), "mqtt://"+address.String(), mqtt.Config{ClientID: name, Hooks: []mqtt.Hook{messages.Hook(name)}})
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		require.NoError(t, c.AddClient(name, client))
		clients[name] = client
	}
	keepBusy(t, clients["first"])
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	require.NoError(t, reg.Register(messages))
	target = httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	t.Cleanup(target.Close)
	return target, clients["second"]
}

// keepBusy makes client publish, receive and ping until the test ends.
func keepBusy(t *testing.T, client *mqtt.Client) {
	t.Helper()
	sub, err := client.Subscribe(t.Context(), "busy/+", mqtt.AtLeastOnce)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		pace := time.NewTicker(5 * time.Millisecond) // leaves time for others
		defer pace.Stop()
		for ; ctx.Err() == nil; <-pace.C {
			err := client.Publish(ctx, "busy/bee", make([]byte, 100), mqtt.AtLeastOnce)
			if err == nil {
				for range sub.All(ctx) {
					break
				}
			}
			if err == nil {
				_, err = client.Ping(ctx)
			}
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

func TestPrometheusAnswersEveryQueryOfTheDashboard(t *testing.T) {
	target, second := metrics(t)
	s := startPrometheus(t, target.Listener.Addr().String())
	for _, q := range queries(t) {
		title, expr := q[0], q[1]
		result := s.await(expr, func(result []sample) bool {
			for _, r := range result {
				if !math.IsNaN(r.value(t)) {
					return true
				}
			}
			return false
		})
		t.Logf("%s: %s: %d series", title, expr, len(result))
	}
	info := s.first(`mqtt_client_connection_info{client="first"}`).Metric
	require.Equal(t, "first", info["client_id"])
	require.Equal(t, "mqtt://"+info["address"], info["server"])
	require.Equal(t, "5.0", info["version"])
	require.NotEmpty(t, s.first(`rate(mqtt_client_acknowledged_messages_total{client="first"}[10s]) > 0`))

	require.NoError(t, second.Close())
	s.await(`{client="second"}`, func(result []sample) bool { return len(result) == 0 })
	require.NotEmpty(t, s.first(`{client="first"}`))
}

func TestPromtoolFindsNothing(t *testing.T) {
	target, _ := metrics(t)
	response, err := http.Get(target.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	cmd := exec.Command(program(t, "promtool"), "check", "metrics")
	cmd.Stdin = response.Body
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
	_, _ = io.Copy(io.Discard, response.Body)
}
