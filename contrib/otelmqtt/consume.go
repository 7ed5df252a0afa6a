package otelmqtt

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/baggage"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/match"
)

// consume is the hook for messages that are consumed.
func (t *Telemetry) consume(ctx context.Context, c *mqtt.ConsumeInfo) (context.Context, func(error)) {
	o := operation{server: t.server(c.Server)}
	response := c.Operation == mqtt.OperationRequest
	if response && t.cfg.Template != nil {
		o.template = t.cfg.Template(c.Message.Topic)
	} else if !response {
		o.subscribed(c.Filter)
	}
	switch c.Operation {
	case mqtt.OperationHandleBatches:
		return t.beginBatch(ctx, c, o)
	case mqtt.OperationHandle, mqtt.OperationRespond, mqtt.OperationAll:
		return t.beginProcess(ctx, c, o)
	}
	o.name, o.kind = "receive", semconv.MessagingOperationTypeReceive
	return ctx, t.receive(ctx, c, o, response)
}

// subscribed notes the filter of a Subscription.
func (o *operation) subscribed(filter string) {
	o.template = filter
	if group, rest, shared := match.SplitShared(filter); shared {
		o.group, o.template = group, rest
	}
}

// beginProcess begins the span of a function or a loop body.
func (t *Telemetry) beginProcess(ctx context.Context, c *mqtt.ConsumeInfo, o operation) (context.Context, func(error)) {
	begin := time.Now()
	o.name, o.kind = "process", semconv.MessagingOperationTypeProcess
	attributes := t.attributes(&o, c.Message, c.Server, false)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(begin), trace.WithAttributes(attributes...)}
	creation, luggage := t.creation(c.Message)
	if luggage.Len() > 0 {
		ctx = baggage.ContextWithBaggage(ctx, luggage)
	}
	if creation.IsValid() {
		links := []trace.Link{{SpanContext: creation}}
		if t.cfg.Parent {
			if ambient := trace.SpanContextFromContext(ctx); ambient.IsValid() {
				links = append(links, trace.Link{SpanContext: ambient})
			}
			ctx = trace.ContextWithRemoteSpanContext(ctx, creation)
		}
		options = append(options, trace.WithLinks(links...))
	}
	ctx, span := t.tracer.Start(ctx, o.span(), options...)
	return ctx, func(err error) { t.endProcess(ctx, span, &o, begin, 1, err) }
}

// beginBatch begins the span of a function that gets several messages. It has a link to the
// producer of each, and none of them for its parent.
func (t *Telemetry) beginBatch(ctx context.Context, c *mqtt.ConsumeInfo, o operation) (context.Context, func(error)) {
	begin := time.Now()
	o.name, o.kind = "process", semconv.MessagingOperationTypeProcess
	attributes := append(t.common(&o, c.Server), semconv.MessagingBatchMessageCount(len(c.Batch)))
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(begin), trace.WithAttributes(attributes...)}
	var links []trace.Link
	for _, m := range c.Batch {
		if creation, _ := t.creation(m); creation.IsValid() {
			links = append(links, trace.Link{SpanContext: creation})
		}
	}
	ctx, span := t.tracer.Start(ctx, o.span(), append(options, trace.WithLinks(links...))...)
	messages := int64(len(c.Batch))
	return ctx, func(err error) { t.endProcess(ctx, span, &o, begin, messages, err) }
}

// endProcess ends the span of a function that has got so many messages.
func (t *Telemetry) endProcess(ctx context.Context, span trace.Span, o *operation, begin time.Time, messages int64, err error) {
	end := time.Now()
	o.failed(err)
	m := t.measurement(o)
	t.consumed.Inst().Add(ctx, messages, m.add...)
	t.process.Inst().Record(ctx, end.Sub(begin).Seconds(), m.record...)
	finish(span, o, err, end)
}

// receive returns what to call when a message is handed over, or is not. The consumer may
// change the message as soon as it has it, so all is read before.
func (t *Telemetry) receive(ctx context.Context, c *mqtt.ConsumeInfo, o operation, response bool) func(error) {
	attributes := t.attributes(&o, c.Message, c.Server, response)
	creation, _ := t.creation(c.Message)
	return func(err error) {
		if err != nil && !response {
			return // nobody has got it
		}
		now := time.Now()
		o.failed(err)
		t.consumed.Inst().Add(ctx, 1, t.measurement(&o).add...)
		options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(now), trace.WithAttributes(attributes...)}
		if creation.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: creation}))
		}
		_, span := t.tracer.Start(ctx, o.span(), options...)
		finish(span, &o, err, now)
	}
}
