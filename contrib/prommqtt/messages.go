package prommqtt

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/match"
)

// Messages is a [prometheus.Collector] of messages by template of their topic or by
// filter, which the Collector does not know. Make it with NewMessages. Its methods are safe
// for concurrent use.
//
//	messages := prommqtt.NewMessages(match.MustParsePattern("devices/{id}/up"))
//	prometheus.MustRegister(messages)
//	client, err := mqtt.Connect(ctx, server, mqtt.Config{Hooks: []mqtt.Hook{messages.Hook("orders")}})
//
// The topic of a message that is published never becomes a label, for there may be any
// number of them. The first template that it matches does, and "other" if it matches none.
// Of what is consumed, the filter of the Subscription becomes a label. A hundred filters of
// a client do, and those that come later are "other".
type Messages struct {
	templates []*match.Pattern
	published *prometheus.CounterVec
	publish   *prometheus.HistogramVec
	consumed  *prometheus.CounterVec
	handle    *prometheus.HistogramVec
}

// NewMessages returns one for messages that are published on topics of these templates.
func NewMessages(templates ...*match.Pattern) *Messages {
	const prefix = "mqtt_client_"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, append([]string{ofClient.label}, labels...))
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help}, append([]string{ofClient.label}, labels...))
	}
	return &Messages{
		templates: slices.Clone(templates),
		published: counter("topic_published_messages_total", "Ends of messages to be published, by template of the topic.", "topic", "operation", "outcome"),
		publish:   histogram("topic_publish_duration_seconds", "Time from the call to the end of a message to be published.", "topic", "operation"),
		consumed:  counter("filter_consumed_messages_total", "Messages that consumers got, by filter.", "filter", "operation", "outcome"),
		handle:    histogram("filter_handle_duration_seconds", "Time that functions of Handle, HandleBatches and Respond and bodies of loops over All took.", "filter", "operation"),
	}
}

// other is the label of what has none of its own.
const other = "other"

// maxFilters is how many filters of a client are labels.
const maxFilters = 100

// Hook returns what tells m of the messages of a client, whose series have the label client
// with that name, without what is not UTF-8. A client has a Hook of its own.
func (m *Messages) Hook(client string) mqtt.Hook {
	h := &hook{m: m, client: strings.ToValidUTF8(client, "")}
	return mqtt.Hook{Publish: h.publish, Consume: h.consume}
}

// Forget ends the series of a client. They begin again if its Hook is still used.
func (m *Messages) Forget(client string) {
	labels := prometheus.Labels{ofClient.label: client}
	m.published.DeletePartialMatch(labels)
	m.publish.DeletePartialMatch(labels)
	m.consumed.DeletePartialMatch(labels)
	m.handle.DeletePartialMatch(labels)
}

// Describe sends the families of Collect.
func (m *Messages) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect sends the present figures.
func (m *Messages) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

func (m *Messages) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.published, m.publish, m.consumed, m.handle}
}

// template returns the label of a topic.
func (m *Messages) template(topic string) string {
	for _, p := range m.templates {
		if _, ok := p.Match(topic); ok {
			return p.String()
		}
	}
	return other
}

// hook is that of one client.
type hook struct {
	m       *Messages
	client  string
	filters sync.Map // those that are labels
	mu      sync.Mutex
	known   int // number of filters; guarded by mu
}

func (h *hook) publish(ctx context.Context, p *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
	begun, topic, operation := time.Now(), h.m.template(p.Message.Topic), p.Operation.String()
	return ctx, func(_ mqtt.Ack, err error) {
		h.m.published.WithLabelValues(h.client, topic, operation, outcome(err)).Inc()
		h.m.publish.WithLabelValues(h.client, topic, operation).Observe(time.Since(begun).Seconds())
	}
}

func (h *hook) consume(ctx context.Context, c *mqtt.ConsumeInfo) (context.Context, func(error)) {
	begun, filter, operation := time.Now(), h.filter(c.Filter), c.Operation
	messages := float64(max(1, len(c.Batch)))
	return ctx, func(err error) {
		h.m.consumed.WithLabelValues(h.client, filter, operation.String(), outcome(err)).Add(messages)
		switch operation {
		case mqtt.OperationHandle, mqtt.OperationHandleBatches, mqtt.OperationRespond, mqtt.OperationAll:
			h.m.handle.WithLabelValues(h.client, filter, operation.String()).Observe(time.Since(begun).Seconds())
		}
	}
}

// filter returns the label of a filter.
func (h *hook) filter(filter string) string {
	if _, known := h.filters.Load(filter); known {
		return filter
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.filters.Load(filter); !known {
		if h.known == maxFilters {
			return other
		}
		h.known++
		h.filters.Store(filter, nil)
	}
	return filter
}

// outcome is how a message ended, in one word.
func outcome(err error) string {
	_, refused := errors.AsType[*mqtt.ServerError](err)
	switch {
	case err == nil:
		return "ok"
	case refused:
		return "refused"
	}
	return "failed"
}
