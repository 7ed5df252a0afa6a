// Package otelmqtt gives clients of package mqtt traces and metrics of OpenTelemetry.
//
//	telemetry, err := otelmqtt.New(otelmqtt.Config{})
//	client, err := mqtt.Connect(ctx, url, mqtt.Config{Hooks: []mqtt.Hook{telemetry.Hook()}})
//	registration, err := telemetry.Observe(client)
//
// It follows the semantic conventions for messaging, version 1.43.0 (development), whose
// identifier is [SchemaURL].
//
// # Traces
//
// A message that is published has a span of kind PRODUCER, from the call until the server
// has acknowledged the message or it has failed. A Request has one from the call until the
// response is there.
//
// The context of that span goes with the message in user properties: with the W3C
// propagators of OpenTelemetry these are traceparent, tracestate and baggage. MQTT has user
// properties since version 5.0. On an older connection, and where the server would find the
// message too large with them, the message goes without, and the receiver sees no
// relation. A message that brings the properties along, because the program has set them or
// because it was received and is passed on, keeps them, and the span gets a link to what
// they name.
//
// A message that is consumed has one of these:
//
//   - Handle and Respond: a span "process" of kind CONSUMER around the function. The
//     function's context has it, and what the function publishes under that context belongs
//     to it. So does the response of Respond.
//   - HandleBatches: the same for a batch, with a link for each of its messages.
//   - All: a span "process" around the loop body. The body does not get its context; use
//     [Telemetry.Extract].
//   - Next, Stream, Messages, and the response to a Request: a span "receive" of kind CLIENT
//     without a duration, when the message is handed over.
//
// Each has a link to the span of the producer, and not that span for its parent: one message
// may have many receivers, and a consumer may have a trace of its own. Config.Parent changes
// that for "process".
//
// # Metrics
//
//	messaging.client.sent.messages        messages that the program wanted to publish
//	messaging.client.operation.duration   of publishing, and of requests with their response
//	messaging.client.consumed.messages    messages that consumers got
//	messaging.process.duration            of functions and loop bodies
//
// Their attributes are messaging.system, .operation.name, .operation.type,
// .consumer.group.name and .destination.template, server.address, server.port and
// error.type. A topic is never one of them: see Config.Template. [Telemetry.Observe] adds
// mqtt.client.*, the figures of mqtt.Stats.
//
// The attribute error.type is the name of the server's reason code, with underscores; one of
// canceled, timeout, client_closed, connection_lost, not_connected, queue_full, expired,
// undeliverable, session_lost, invalid and response_error; or the Go type of another error.
package otelmqtt

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/match"
)

// SchemaURL names the version of the semantic conventions.
const SchemaURL = semconv.SchemaURL

const scope = "github.com/seed65a45251/mqtt/contrib/otelmqtt"

// Config has the settings of a Telemetry. Its zero value uses what the program has set in
// package otel.
type Config struct {
	// TracerProvider makes spans. If nil, it is the global one.
	TracerProvider trace.TracerProvider
	// MeterProvider makes instruments. If nil, it is the global one.
	MeterProvider metric.MeterProvider
	// Propagator writes and reads the context of a span. If nil, it is the global one, which
	// does nothing until the program has set it with otel.SetTextMapPropagator.
	Propagator propagation.TextMapPropagator
	// Template returns a name for the topics of one kind, such as devices/{id}/up for
	// devices/7/up, and "" for topics without one. There should be few such names: they are
	// part of the names of spans, and attributes of metrics. It is called for topics that
	// are published to; on the side of the consumer the filter of the Subscription is the
	// template. It may be called from several goroutines at once. If nil, these topics
	// have no template. See [Templates].
	Template func(topic string) string
	// Parent makes the span of the producer the parent of a span "process" of one message,
	// so that one trace goes from the producer to the consumers. A span in the context of
	// the consumer is linked then. Zero means that the producer is linked only.
	Parent bool
	// BodySize adds messaging.message.body.size to spans, the length of the payload in
	// bytes.
	BodySize bool
}

// Templates returns a function for Config.Template: the text of the first of patterns that
// matches a topic.
func Templates(patterns ...*match.Pattern) func(topic string) string {
	return func(topic string) string {
		for _, p := range patterns {
			if _, ok := p.Match(topic); ok {
				return p.String()
			}
		}
		return ""
	}
}

// Telemetry has the instruments for any number of clients. Its methods are safe for
// concurrent use.
type Telemetry struct {
	cfg    Config
	tracer trace.Tracer
	meter  metric.Meter

	sent      messagingconv.ClientSentMessages
	consumed  messagingconv.ClientConsumedMessages
	operation messagingconv.ClientOperationDuration
	process   messagingconv.ProcessDuration

	measurements bounded[measurementKey, *measurement]
	servers      bounded[serverKey, *server]

	figures struct { // of Observe
		once        sync.Once
		err         error
		instruments []figure
	}
}

// New returns a Telemetry. The error is that of an instrument.
func New(cfg Config) (*Telemetry, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.Propagator == nil {
		cfg.Propagator = otel.GetTextMapPropagator()
	}
	t := &Telemetry{
		cfg:    cfg,
		tracer: cfg.TracerProvider.Tracer(scope, trace.WithSchemaURL(SchemaURL)),
		meter:  cfg.MeterProvider.Meter(scope, metric.WithSchemaURL(SchemaURL)),
	}
	// The bounds are those of the conventions.
	bounds := metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10)
	var errs [4]error
	t.sent, errs[0] = messagingconv.NewClientSentMessages(t.meter)
	t.consumed, errs[1] = messagingconv.NewClientConsumedMessages(t.meter)
	t.operation, errs[2] = messagingconv.NewClientOperationDuration(t.meter, bounds)
	t.process, errs[3] = messagingconv.NewProcessDuration(t.meter, bounds)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Hook returns the hook for mqtt.Config.Hooks. Several clients may have it.
func (t *Telemetry) Hook() mqtt.Hook { return mqtt.Hook{Publish: t.publish, Consume: t.consume} }

// Extract returns ctx with what the producer of m has sent along: its span, as a remote
// one, and its baggage. It is for messages from Messages, Stream, Next and All, whose
// consumer has no context of its own. If m brings nothing, it returns ctx.
func (t *Telemetry) Extract(ctx context.Context, m *mqtt.Message) context.Context {
	if len(m.UserProperties) == 0 {
		return ctx
	}
	return t.cfg.Propagator.Extract(ctx, received{m})
}

// creation returns what the producer of m has sent along: its span, which may be invalid,
// and its baggage.
func (t *Telemetry) creation(m *mqtt.Message) (trace.SpanContext, baggage.Baggage) {
	ctx := t.Extract(context.Background(), m)
	return trace.SpanContextFromContext(ctx), baggage.FromContext(ctx)
}
