package otelmqtt_test

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// mosquittoTool prepares mosquitto_pub or mosquitto_sub for server.
func mosquittoTool(t *testing.T, server *mosquitto.Server, name string, args ...string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(server.Addr())
	require.NoError(t, err)
	return exec.CommandContext(t.Context(), name, append([]string{"-h", host, "-p", port, "-V", "mqttv5"}, args...)...)
}

// TestMosquittoCarriesTheContext publishes and consumes through Mosquitto, and lets its tools
// write and read what goes along.
func TestMosquittoCarriesTheContext(t *testing.T) {
	server := mosquitto.Start(t, mosquitto.Options{})
	b := newBench(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := mqtt.Connect(ctx, server.URL(), mqtt.Config{ClientID: "ours", Hooks: []mqtt.Hook{b.telemetry().Hook()}})
	require.NoError(t, err)
	defer client.Close()
	sub, err := client.Subscribe(ctx, "devices/+/up", mqtt.AtLeastOnce)
	require.NoError(t, err)
	handled := make(chan trace.SpanContext)
	go sub.Handle(ctx, func(ctx context.Context, m *mqtt.Message) error {
		handled <- trace.SpanContextFromContext(ctx)
		return nil
	})

	require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: "devices/1/up", QoS: mqtt.AtLeastOnce, Retain: true, Payload: []byte("x")}))
	<-handled
	publish := b.one("publish devices/{id}/up")
	said, err := mosquittoTool(t, server, "mosquitto_sub", "-t", "devices/1/up", "-C", "1", "-F", "%P").CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.Equal(t, "traceparent:00-"+publish.SpanContext().TraceID().String()+"-"+publish.SpanContext().SpanID().String()+"-01", strings.TrimSpace(string(said)))

	theirs := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	said, err = mosquittoTool(t, server, "mosquitto_pub", "-t", "devices/2/up", "-m", "x", "-D", "publish", "user-property", "traceparent", theirs).CombinedOutput()
	require.NoError(t, err, "%s", said)
	<-handled
	require.NoError(t, sub.Drain(ctx)) // until the functions have returned, and their spans have ended
	processes := b.ended("process devices/+/up")
	require.Len(t, processes, 2)
	requireLinked(t, processes[0], publish)
	require.Equal(t, "b7ad6b7169203331", processes[1].Links()[0].SpanContext.SpanID().String())

	old, err := mqtt.Connect(ctx, server.URL(), mqtt.Config{ClientID: "old", Version: mqtt.V311, Hooks: []mqtt.Hook{b.telemetry().Hook()}})
	require.NoError(t, err)
	defer old.Close()
	require.NoError(t, old.Publish(ctx, "devices/3/up", nil, mqtt.AtLeastOnce))
	require.Equal(t, "127.0.0.1", value(b.ended("publish devices/{id}/up")[1], "network.peer.address"))
}
