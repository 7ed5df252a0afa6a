package otelmqtt_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/contrib/otelmqtt"
)

// BenchmarkHook calls the hook for a message as a client does, without a client: for one
// that is published, and for one that is handled and has a context.
func BenchmarkHook(b *testing.B) {
	for name, sampler := range map[string]sdktrace.Sampler{"sampled": sdktrace.AlwaysSample(), "not sampled": sdktrace.NeverSample()} {
		reader := sdkmetric.NewManualReader()
		telemetry, err := otelmqtt.New(otelmqtt.Config{
			TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler)),
			MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
			Propagator:     propagation.TraceContext{},
			Template:       func(string) string { return "devices/{id}/up" },
		})
		require.NoError(b, err)
		hook := telemetry.Hook()
		server := &mqtt.ServerInfo{Version: mqtt.V5, ClientID: "c", Server: "mqtt://localhost:1883", Address: "127.0.0.1:1883"}
		b.Run("publish, "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, done := hook.Publish(context.Background(), &mqtt.PublishInfo{Message: &mqtt.Message{Topic: "devices/7/up"}, Server: server})
				done(mqtt.Ack{}, nil)
			}
		})
		m := &mqtt.Message{Topic: "devices/7/up", UserProperties: []mqtt.UserProperty{
			{Name: "traceparent", Value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}
		b.Run("handle, "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, done := hook.Consume(context.Background(), &mqtt.ConsumeInfo{Operation: mqtt.OperationHandle, Message: m, Filter: "devices/+/up", Server: server})
				done(nil)
			}
		})
	}
}
