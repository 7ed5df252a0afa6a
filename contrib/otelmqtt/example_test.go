package otelmqtt_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/otelmqtt"
	"github.com/seed65a45251/mqtt/match"
)

// exampleBroker returns a broker in memory, and how to dial it.
func exampleBroker() (*broker.Broker, func(context.Context, string, string) (net.Conn, error)) {
	b := broker.New(broker.Config{})
	return b, func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }
}

// A program sets up OpenTelemetry, here with an exporter in memory, and gives each client the
// hook.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, dial := exampleBroker()
	defer b.Close()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	defer provider.Shutdown(ctx)
	config := mqtt.Config{Dial: dial}

	// <use>
	telemetry, err := otelmqtt.New(otelmqtt.Config{
		TracerProvider: provider, // nil: the global one, as with MeterProvider and Propagator
		Propagator:     propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		Template:       otelmqtt.Templates(match.MustParsePattern("devices/{id}/up")),
	})
	if err != nil {
		log.Fatal(err)
	}
	config.Hooks = []mqtt.Hook{telemetry.Hook()}
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	registration, err := telemetry.Observe(client) // mqtt.client.*
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()
	// </use>

	// <messages>
	sub, err := client.Subscribe(ctx, "devices/+/up", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Publish(ctx, "devices/7/up", []byte("21.5"), mqtt.AtLeastOnce); err != nil {
		log.Fatal(err)
	}
	handling, enough := context.WithCancel(ctx)
	sub.Handle(handling, func(ctx context.Context, m *mqtt.Message) error {
		enough() // spans that are made with ctx are children of that of the function
		return nil
	})
	// </messages>
	for _, s := range exporter.GetSpans() {
		fmt.Println(s.SpanKind, s.Name, len(s.Links))
	}
	// Output:
	// producer publish devices/{id}/up 0
	// consumer process devices/+/up 1
}

// A consumer that has no context of its own takes it from the message.
func ExampleTelemetry_Extract() {
	telemetry, err := otelmqtt.New(otelmqtt.Config{Propagator: propagation.TraceContext{}})
	if err != nil {
		log.Fatal(err)
	}
	m := &mqtt.Message{UserProperties: []mqtt.UserProperty{
		{Name: "traceparent", Value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}
	ctx := telemetry.Extract(context.Background(), m)
	fmt.Println(trace.SpanContextFromContext(ctx).TraceID())
	// Output: 0af7651916cd43dd8448eb211c80319c
}

func ExampleTelemetry_Observe() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, dial := exampleBroker()
	defer b.Close()
	reader := sdkmetric.NewManualReader()
	telemetry, err := otelmqtt.New(otelmqtt.Config{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	if err != nil {
		log.Fatal(err)
	}
	client, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{ClientID: "worker-7", Dial: dial})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := telemetry.Observe(client, attribute.String("role", "worker")); err != nil {
		log.Fatal(err)
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		log.Fatal(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name == "mqtt.client.connections" {
			p := m.Data.(metricdata.Sum[int64]).DataPoints[0]
			fmt.Println(m.Name, p.Value, p.Attributes.Encoded(attribute.DefaultEncoder()))
		}
	}
	// Output: mqtt.client.connections 1 messaging.client.id=worker-7,role=worker
}

func ExampleTemplates() {
	template := otelmqtt.Templates(match.MustParsePattern("devices/{id}/up"), match.MustParsePattern("jobs/{queue}"))
	fmt.Println(template("devices/7/up"))
	fmt.Println(template("jobs/mail"))
	fmt.Printf("%q\n", template("elsewhere"))
	// Output:
	// devices/{id}/up
	// jobs/{queue}
	// ""
}
