package otelmqtt_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/contrib/otelmqtt"
	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/mqtttest"
)

// bench is a program with traces.
type bench struct {
	*testing.T
	broker *mqtttest.Broker
	cfg    otelmqtt.Config
	spans  *tracetest.SpanRecorder
	tracer trace.Tracer
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, spans: tracetest.NewSpanRecorder()}
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.spans))
	b.tracer = p.Tracer("program")
	b.cfg = otelmqtt.Config{
		TracerProvider: p,
		Propagator:     propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		Template:       otelmqtt.Templates(match.MustParsePattern("devices/{id}/up"), match.MustParsePattern("jobs")),
	}
	return b
}

// inMemory runs f in a bubble, with a broker.
func inMemory(t *testing.T, f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.broker = mqtttest.NewBroker(t)
		f(b)
	})
}

func (b *bench) telemetry() *otelmqtt.Telemetry {
	t, err := otelmqtt.New(b.cfg)
	require.NoError(b, err)
	return t
}

// connect returns a client with the hook of a Telemetry of its own.
func (b *bench) connect(id string, v mqtt.Version) *mqtt.Client {
	b.Helper()
	cfg := mqtt.Config{ClientID: id, Version: v, Hooks: []mqtt.Hook{b.telemetry().Hook()}}
	url := "mqtt://broker.example:1884"
	if b.broker != nil {
		cfg.Dial = b.broker.Dial
	}
	client, err := mqtt.Connect(b.Context(), url, cfg)
	require.NoError(b, err)
	b.Cleanup(func() { client.Close() })
	return client
}

// handle begins a Handle that is subscribed when it returns.
func (b *bench) handle(c *mqtt.Client, filter string, f func(context.Context, *mqtt.Message) error) *mqtt.Subscription {
	b.Helper()
	sub, err := c.Subscribe(b.Context(), filter, mqtt.AtLeastOnce)
	require.NoError(b, err)
	go sub.Handle(b.Context(), f)
	return sub
}

// ended returns the spans with that name.
func (b *bench) ended(name string) (all []sdktrace.ReadOnlySpan) {
	for _, s := range b.spans.Ended() {
		if s.Name() == name {
			all = append(all, s)
		}
	}
	return all
}

// one returns the only span with that name.
func (b *bench) one(name string) sdktrace.ReadOnlySpan {
	b.Helper()
	all := b.ended(name)
	if len(all) != 1 {
		for _, s := range b.spans.Ended() {
			b.Logf("%s (%v)", s.Name(), s.SpanKind())
		}
		require.Len(b, all, 1, name)
	}
	return all[0]
}

func value(s sdktrace.ReadOnlySpan, key string) string {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value.Emit()
		}
	}
	return "none"
}

func requireLinked(t *testing.T, from, to sdktrace.ReadOnlySpan) {
	t.Helper()
	for _, l := range from.Links() {
		if l.SpanContext.SpanID() == to.SpanContext().SpanID() && l.SpanContext.TraceID() == to.SpanContext().TraceID() {
			return
		}
	}
	require.Fail(t, "not linked")
}

func TestATraceGoesFromTheProducerToTheConsumer(t *testing.T) {
	inMemory(t, func(b *bench) {
		consumer, producer := b.connect("consumer", mqtt.V5), b.connect("producer", mqtt.V5)
		var told string
		b.handle(consumer, "$share/g/devices/+/up", func(ctx context.Context, m *mqtt.Message) error {
			told = baggage.FromContext(ctx).Member("tenant").Value()
			return consumer.Publish(ctx, "jobs", []byte("next"), mqtt.AtMostOnce)
		})
		tenant, err := baggage.NewMember("tenant", "acme")
		require.NoError(b, err)
		luggage, err := baggage.New(tenant)
		require.NoError(b, err)
		ctx, root := b.tracer.Start(baggage.ContextWithBaggage(b.Context(), luggage), "root")
		require.NoError(b, producer.Publish(ctx, "devices/7/up", []byte("hello"), mqtt.AtLeastOnce))
		root.End()
		synctest.Wait()

		publish, process, next := b.one("publish devices/{id}/up"), b.one("process devices/+/up"), b.one("publish jobs")
		require.Equal(b, root.SpanContext().SpanID(), publish.Parent().SpanID())
		require.Equal(b, trace.SpanKindProducer, publish.SpanKind())
		require.Equal(b, trace.SpanKindConsumer, process.SpanKind())
		require.False(b, process.Parent().IsValid(), "it is linked, and not a child")
		requireLinked(b.T, process, publish)
		require.Equal(b, process.SpanContext().SpanID(), next.Parent().SpanID())
		require.Equal(b, "acme", told)

		for key, want := range map[string]string{
			"messaging.system": "mqtt", "messaging.operation.name": "publish", "messaging.operation.type": "send",
			"messaging.destination.name": "devices/7/up", "messaging.destination.template": "devices/{id}/up",
			"messaging.client.id": "producer", "server.address": "broker.example", "server.port": "1884",
			"messaging.message.body.size": "none", "messaging.consumer.group.name": "none", "error.type": "none",
		} {
			require.Equal(b, want, value(publish, key), key)
		}
		for key, want := range map[string]string{
			"messaging.operation.name": "process", "messaging.operation.type": "process", "messaging.consumer.group.name": "g",
			"messaging.destination.name": "devices/7/up", "messaging.destination.template": "devices/+/up", "messaging.client.id": "consumer",
		} {
			require.Equal(b, want, value(process, key), key)
		}
	})
}

func TestTheProducerMayBeTheParent(t *testing.T) {
	inMemory(t, func(b *bench) {
		b.cfg.Parent, b.cfg.BodySize = true, true
		consumer, producer := b.connect("consumer", mqtt.V5), b.connect("producer", mqtt.V5)
		ctx, ambient := b.tracer.Start(b.Context(), "consumer")
		sub, err := consumer.Subscribe(ctx, "devices/+/up", mqtt.AtLeastOnce)
		require.NoError(b, err)
		go sub.Handle(ctx, func(context.Context, *mqtt.Message) error { return nil })
		require.NoError(b, producer.Publish(b.Context(), "devices/7/up", []byte("hello"), mqtt.AtLeastOnce))
		synctest.Wait()
		publish, process := b.one("publish devices/{id}/up"), b.one("process devices/+/up")
		require.Equal(b, publish.SpanContext().SpanID(), process.Parent().SpanID())
		require.Equal(b, publish.SpanContext().TraceID(), process.SpanContext().TraceID())
		requireLinked(b.T, process, publish)
		require.Len(b, process.Links(), 2)
		require.Equal(b, ambient.SpanContext().SpanID(), process.Links()[1].SpanContext.SpanID())
		require.Equal(b, "5", value(process, "messaging.message.body.size"))
	})
}

// TestARequestAndItsResponseAreOneTrace follows a call through the broker and back.
func TestARequestAndItsResponseAreOneTrace(t *testing.T) {
	inMemory(t, func(b *bench) {
		b.cfg.Parent = true
		requester, responder := b.connect("requester", mqtt.V5), b.connect("responder", mqtt.V5)
		go responder.Respond(b.Context(), "jobs", func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			if string(m.Payload) == "bad" {
				return nil, errors.New("no good")
			}
			_, work := b.tracer.Start(ctx, "work")
			work.End()
			return &mqtt.Message{Payload: []byte("answer")}, nil
		})
		synctest.Wait()
		ctx, root := b.tracer.Start(b.Context(), "root")
		_, err := requester.Request(ctx, &mqtt.Message{Topic: "jobs", QoS: mqtt.AtLeastOnce})
		require.NoError(b, err)
		root.End()
		synctest.Wait()
		request, process, work, answer, receive := b.one("request jobs"), b.one("process jobs"), b.one("work"), b.one("publish"), b.one("receive")
		for _, s := range []sdktrace.ReadOnlySpan{request, process, work, answer, receive} {
			require.Equal(b, root.SpanContext().TraceID(), s.SpanContext().TraceID(), s.Name())
		}
		require.Equal(b, request.SpanContext().SpanID(), process.Parent().SpanID())
		require.Equal(b, process.SpanContext().SpanID(), work.Parent().SpanID())
		require.Equal(b, process.SpanContext().SpanID(), answer.Parent().SpanID())
		require.Equal(b, request.SpanContext().SpanID(), receive.Parent().SpanID())
		requireLinked(b.T, receive, answer)
		require.Equal(b, "true", value(answer, "messaging.destination.temporary"))
		require.Equal(b, value(request, "messaging.message.conversation_id"), value(receive, "messaging.message.conversation_id"))
		require.Equal(b, trace.SpanKindClient, receive.SpanKind())

		_, err = requester.Request(b.Context(), &mqtt.Message{Topic: "jobs", Payload: []byte("bad"), QoS: mqtt.AtLeastOnce})
		require.Error(b, err)
		synctest.Wait()
		failed := b.ended("request jobs")[1]
		require.Equal(b, codes.Error, failed.Status().Code)
		require.Equal(b, "response_error", value(failed, "error.type"))
		require.Equal(b, codes.Error, b.ended("process jobs")[1].Status().Code)
	})
}

// TestBefore5NothingGoesWithAMessage has no place for it, and no message fails.
func TestBefore5NothingGoesWithAMessage(t *testing.T) {
	inMemory(t, func(b *bench) {
		consumer, producer := b.connect("consumer", mqtt.V5), b.connect("producer", mqtt.V311)
		b.handle(consumer, "#", func(_ context.Context, m *mqtt.Message) error {
			require.Empty(b, m.UserProperties)
			return nil
		})
		require.NoError(b, producer.Publish(b.Context(), "devices/7/up", nil, mqtt.AtLeastOnce))
		synctest.Wait()
		require.Empty(b, b.one("process #").Links())
		require.NotNil(b, b.one("publish devices/{id}/up"))
	})
}

func TestAContextThatAMessageBringsIsKept(t *testing.T) {
	inMemory(t, func(b *bench) {
		consumer, producer := b.connect("consumer", mqtt.V5), b.connect("producer", mqtt.V5)
		of := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		b.handle(consumer, "jobs", func(_ context.Context, m *mqtt.Message) error {
			require.Len(b, m.UserProperties, 1)
			return nil
		})
		require.NoError(b, producer.PublishMessage(b.Context(), &mqtt.Message{Topic: "jobs", QoS: 1,
			UserProperties: []mqtt.UserProperty{{Name: "traceparent", Value: of}}}))
		synctest.Wait()
		for _, name := range []string{"publish jobs", "process jobs"} {
			links := b.one(name).Links()
			require.Len(b, links, 1)
			require.Equal(b, "b7ad6b7169203331", links[0].SpanContext.SpanID().String())
		}
	})
}

func TestMessagesThatAreTaken(t *testing.T) {
	inMemory(t, func(b *bench) {
		client := b.connect("client", mqtt.V5)
		sub, err := client.Subscribe(b.Context(), "jobs", mqtt.AtLeastOnce)
		require.NoError(b, err)
		for range 4 {
			require.NoError(b, client.Publish(b.Context(), "jobs", nil, mqtt.AtLeastOnce))
		}
		ctx, root := b.tracer.Start(b.Context(), "root")
		m, err := sub.Next(ctx)
		require.NoError(b, err)
		receive := b.one("receive jobs")
		require.Equal(b, root.SpanContext().SpanID(), receive.Parent().SpanID())
		require.Equal(b, trace.SpanKindClient, receive.SpanKind())
		first := b.ended("publish jobs")[0]
		requireLinked(b.T, receive, first)
		remote := trace.SpanContextFromContext(b.telemetry().Extract(b.Context(), m))
		require.Equal(b, first.SpanContext().SpanID(), remote.SpanID())

		streaming, stop := context.WithCancel(ctx)
		stream := sub.Stream(streaming)
		<-stream
		synctest.Wait()
		require.Len(b, b.ended("receive jobs"), 2)
		stop()
		synctest.Wait()
		require.Len(b, b.ended("receive jobs"), 2, "nobody has taken the one that was offered")
		for range sub.All(ctx) {
			require.Empty(b, b.ended("process jobs"))
			break
		}
		require.Equal(b, root.SpanContext().SpanID(), b.one("process jobs").Parent().SpanID())
	})
}

func TestABatchHasALinkForEachOfItsMessages(t *testing.T) {
	inMemory(t, func(b *bench) {
		b.cfg.Parent = true
		reader := sdkmetric.NewManualReader()
		b.cfg.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		client := b.connect("client", mqtt.V5)
		sub, err := client.Subscribe(b.Context(), "devices/+/up", mqtt.AtLeastOnce)
		require.NoError(b, err)
		for _, id := range []string{"1", "2", "3"} {
			require.NoError(b, client.Publish(b.Context(), "devices/"+id+"/up", nil, mqtt.AtLeastOnce))
		}
		synctest.Wait()
		ctx, root := b.tracer.Start(b.Context(), "root")
		go sub.HandleBatches(ctx, mqtt.BatchOptions{Messages: 3}, func(context.Context, []*mqtt.Message) error { return nil })
		synctest.Wait()
		process := b.one("process devices/+/up")
		require.Equal(b, root.SpanContext().SpanID(), process.Parent().SpanID())
		require.Len(b, process.Links(), 3)
		for _, s := range b.ended("publish devices/{id}/up") {
			requireLinked(b.T, process, s)
		}
		require.Equal(b, "3", value(process, "messaging.batch.message_count"))
		require.Equal(b, "none", value(process, "messaging.destination.name"))
		got := collect(b.T, reader)
		of := set("process", "process", "devices/+/up")
		require.EqualValues(b, 3, got["messaging.client.consumed.messages"][of])
		require.EqualValues(b, 1, got["messaging.process.duration"][of])
	})
}

func TestFailuresHaveATypeAndAStatus(t *testing.T) {
	inMemory(t, func(b *bench) {
		client := b.connect("client", mqtt.V5)
		sub, err := client.Subscribe(b.Context(), "jobs", mqtt.AtLeastOnce)
		require.NoError(b, err)
		canceled, cancel := context.WithCancel(b.Context())
		cancel()
		require.Error(b, client.Publish(canceled, "jobs", nil, mqtt.AtLeastOnce))
		require.Error(b, client.Publish(b.Context(), "#", nil, mqtt.AtLeastOnce))
		require.Equal(b, "canceled", value(b.one("publish jobs"), "error.type"))
		require.Equal(b, "invalid", value(b.one("publish"), "error.type"))
		require.NoError(b, client.Publish(b.Context(), "jobs", nil, mqtt.AtLeastOnce))
		go sub.Handle(b.Context(), func(context.Context, *mqtt.Message) error { return mqtt.QuotaExceeded })
		synctest.Wait()
		refused := b.one("process jobs")
		require.Equal(b, "quota_exceeded", value(refused, "error.type"))
		require.Equal(b, codes.Error, refused.Status().Code)
	})
}
