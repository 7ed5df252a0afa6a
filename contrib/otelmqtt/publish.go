package otelmqtt

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed65a45251/mqtt"
)

// publish is the hook for messages that are published.
func (t *Telemetry) publish(ctx context.Context, p *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
	begin := time.Now()
	o := operation{name: "publish", kind: semconv.MessagingOperationTypeSend, server: t.server(p.Server)}
	if p.Operation == mqtt.OperationRequest {
		o.name = "request"
	}
	if t.cfg.Template != nil {
		o.template = t.cfg.Template(p.Message.Topic)
	}
	attributes := t.attributes(&o, p.Message, p.Server, p.Operation == mqtt.OperationRespond)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(begin), trace.WithAttributes(attributes...)}
	custom, _ := t.creation(p.Message)
	if custom.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: custom}))
	}
	ctx, span := t.tracer.Start(ctx, o.span(), options...)
	// A context that the program has put there stays.
	if !custom.IsValid() && (p.Server.Version == mqtt.Auto || p.Server.Version == mqtt.V5) {
		t.cfg.Propagator.Inject(ctx, published{p})
	}
	return ctx, func(_ mqtt.Ack, err error) {
		end := time.Now()
		o.failed(err)
		m := t.measurement(&o)
		t.sent.Inst().Add(ctx, 1, m.add...)
		t.operation.Inst().Record(ctx, end.Sub(begin).Seconds(), m.record...)
		finish(span, &o, err, end)
	}
}

// finish ends a span.
func finish(span trace.Span, o *operation, err error, end time.Time) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(semconv.ErrorTypeKey.String(o.err))
	}
	span.End(trace.WithTimestamp(end))
}

// attributes returns those of a span. A topic that nobody has a template for may be one that was
// made for a response only.
func (t *Telemetry) attributes(o *operation, m *mqtt.Message, info *mqtt.ServerInfo, response bool) []attribute.KeyValue {
	all := append(t.common(o, info), semconv.MessagingDestinationName(m.Topic))
	if o.template == "" && response {
		all = append(all, semconv.MessagingDestinationTemporary(true))
	}
	if m.CorrelationData != nil {
		all = append(all, semconv.MessagingMessageConversationID(conversation(m.CorrelationData)))
	}
	if t.cfg.BodySize {
		all = append(all, semconv.MessagingMessageBodySize(len(m.Payload)))
	}
	return all
}

// common returns the attributes of a span that say nothing about a message. There is space
// for more.
func (t *Telemetry) common(o *operation, info *mqtt.ServerInfo) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 16)
	all = append(all, system, semconv.MessagingOperationName(o.name), o.kind)
	if o.template != "" {
		all = append(all, semconv.MessagingDestinationTemplate(o.template))
	}
	if o.group != "" {
		all = append(all, semconv.MessagingConsumerGroupName(o.group))
	}
	if info.ClientID != "" {
		all = append(all, semconv.MessagingClientID(info.ClientID))
	}
	return append(append(all, o.server.common...), o.server.peer...)
}
