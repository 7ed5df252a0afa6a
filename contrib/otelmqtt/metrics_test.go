package otelmqtt_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/seed65a45251/mqtt"
)

// collect returns what reader has, by name: the number of points, of histograms the counts,
// by the attributes of the point.
func collect(t *testing.T, reader sdkmetric.Reader) map[string]map[attribute.Set]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	found := make(map[string]map[attribute.Set]int64)
	for _, scope := range all.ScopeMetrics {
		require.Equal(t, "https://opentelemetry.io/schemas/1.43.0", scope.Scope.SchemaURL)
		for _, m := range scope.Metrics {
			points := make(map[attribute.Set]int64)
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					points[p.Attributes] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					points[p.Attributes] = int64(p.Count)
				}
			default:
				require.Fail(t, "unexpected", "%T", data)
			}
			found[m.Name] = points
		}
	}
	return found
}

func set(name, kind, template string, more ...attribute.KeyValue) attribute.Set {
	all := append(more, attribute.String("messaging.system", "mqtt"), attribute.String("messaging.operation.name", name),
		attribute.String("messaging.operation.type", kind), attribute.String("server.address", "broker.example"), attribute.Int("server.port", 1884))
	if template != "" {
		all = append(all, attribute.String("messaging.destination.template", template))
	}
	return attribute.NewSet(all...)
}

// TestMetricsHaveNoTopics counts what goes over ten topics.
func TestMetricsHaveNoTopics(t *testing.T) {
	inMemory(t, func(b *bench) {
		reader := sdkmetric.NewManualReader()
		b.cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		client := b.connect("client", mqtt.V5)
		b.handle(client, "$share/g/devices/+/up", func(_ context.Context, m *mqtt.Message) error {
			if string(m.Payload) == "bad" {
				return mqtt.QuotaExceeded
			}
			return nil
		})
		for _, id := range []string{"0", "1", "2", "3"} {
			require.NoError(b, client.Publish(b.Context(), "devices/"+id+"/up", nil, mqtt.AtLeastOnce))
		}
		require.NoError(b, client.Publish(b.Context(), "devices/7/up", []byte("bad"), mqtt.AtLeastOnce))
		require.NoError(b, client.Publish(b.Context(), "elsewhere/7", nil, mqtt.AtMostOnce))
		_, err := client.PublishAsync(b.Context(), &mqtt.Message{Topic: "devices/8/up"})
		require.NoError(b, err)
		synctest.Wait()

		group := attribute.String("messaging.consumer.group.name", "g")
		failed := attribute.String("error.type", "quota_exceeded")
		got := collect(b.T, reader)
		sent := map[attribute.Set]int64{set("publish", "send", "devices/{id}/up"): 6, set("publish", "send", ""): 1}
		require.Equal(b, sent, got["messaging.client.sent.messages"])
		require.Equal(b, sent, got["messaging.client.operation.duration"])
		consumed := map[attribute.Set]int64{set("process", "process", "devices/+/up", group): 5, set("process", "process", "devices/+/up", group, failed): 1}
		require.Equal(b, consumed, got["messaging.client.consumed.messages"])
		require.Equal(b, consumed, got["messaging.process.duration"])
	})
}

func TestTheFiguresOfAClient(t *testing.T) {
	inMemory(t, func(b *bench) {
		reader := sdkmetric.NewManualReader()
		b.cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		telemetry := b.telemetry()
		var clients []*mqtt.Client
		for _, id := range []string{"a", "b"} {
			client := b.connect(id, mqtt.V5)
			clients = append(clients, client)
			registration, err := telemetry.Observe(client, attribute.String("role", id))
			require.NoError(b, err)
			defer registration.Unregister()
		}
		require.NoError(b, clients[0].Publish(b.Context(), "jobs", nil, mqtt.AtLeastOnce))
		of := func(id string, more ...attribute.KeyValue) attribute.Set {
			return attribute.NewSet(append(more, attribute.String("messaging.client.id", id), attribute.String("role", id))...)
		}
		got := collect(b.T, reader)
		require.Equal(b, map[attribute.Set]int64{of("a"): 1, of("b"): 1}, got["mqtt.client.connections"])
		require.Equal(b, map[attribute.Set]int64{of("a"): 1, of("b"): 0}, got["mqtt.client.publish.acknowledged"])
		transmitted := of("a", attribute.String("network.io.direction", "transmit"))
		require.EqualValues(b, clients[0].Stats().BytesSent, got["mqtt.client.io"][transmitted])
		require.Contains(b, got["mqtt.client.connections.failed"], of("a", attribute.String("error.type", "timeout")))
		require.NoError(b, clients[0].Close())
		got = collect(b.T, reader)
		require.Equal(b, map[attribute.Set]int64{of("b"): 1}, got["mqtt.client.connections"], "nothing is left of a client that has ended")
	})
}
