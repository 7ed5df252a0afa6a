package otelmqtt

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/seed65a45251/mqtt"
)

// figure is a figure of mqtt.Stats and its instrument.
type figure struct {
	name, unit, description string
	present                 bool // it goes up and down
	// read calls put with each value.
	read func(s *mqtt.Stats, put func(value int64, attributes ...attribute.KeyValue))

	instrument metric.Int64Observable
}

// cause is the attribute for why something did not go on.
func cause(name string) attribute.KeyValue { return semconv.ErrorTypeKey.String(name) }

// one returns a function for figures with one value.
func one[N int | uint64](value func(*mqtt.Stats) N) func(*mqtt.Stats, func(int64, ...attribute.KeyValue)) {
	return func(s *mqtt.Stats, put func(int64, ...attribute.KeyValue)) { put(int64(value(s))) }
}

// byCause returns a function for figures with a value for each cause.
func byCause(values func(*mqtt.Stats) map[string]uint64) func(*mqtt.Stats, func(int64, ...attribute.KeyValue)) {
	return func(s *mqtt.Stats, put func(int64, ...attribute.KeyValue)) {
		for name, n := range values(s) {
			put(int64(n), cause(name))
		}
	}
}

// bothWays returns a function for figures of what is sent and received.
func bothWays(values func(*mqtt.Stats) (sent, received uint64)) func(*mqtt.Stats, func(int64, ...attribute.KeyValue)) {
	return func(s *mqtt.Stats, put func(int64, ...attribute.KeyValue)) {
		sent, received := values(s)
		put(int64(sent), semconv.NetworkIODirectionTransmit)
		put(int64(received), semconv.NetworkIODirectionReceive)
	}
}

// refusals adds the reason codes of a server.
func refusals(to map[string]uint64, by map[mqtt.ReasonCode]uint64) map[string]uint64 {
	for code, n := range by {
		to[errorType(code)] += n
	}
	return to
}

func figures() []figure {
	return []figure{
		{name: "mqtt.client.connections", unit: "{connection}", present: true, description: "Connections that are up.",
			read: one(func(s *mqtt.Stats) int { return s.Up })},
		{name: "mqtt.client.connections.established", unit: "{connection}", description: "Connections that a server has accepted.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Connections })},
		{name: "mqtt.client.connections.failed", unit: "{attempt}", description: "Attempts to connect that failed.",
			read: byCause(func(s *mqtt.Stats) map[string]uint64 {
				f := &s.FailedAttempts
				return refusals(map[string]uint64{"protocol": f.Protocol, "http": f.HTTP, "tls": f.TLS, "canceled": f.Canceled,
					"local": f.Local, "timeout": f.Timeout, "network": f.Network}, f.Refused)
			})},
		{name: "mqtt.client.connections.ended", unit: "{connection}", description: "Connections that have ended.",
			read: byCause(func(s *mqtt.Stats) map[string]uint64 {
				e := &s.Ended
				return refusals(map[string]uint64{"closed": e.Closed, "renewed": e.Renewed, "hung_up": e.HungUp,
					"keep_alive": e.KeepAlive, "protocol": e.Protocol, "local": e.Local, "network": e.Network}, e.Server)
			})},
		{name: "mqtt.client.sessions.lost", unit: "{session}", description: "Connections that began with a new session where there had been one.",
			read: one(func(s *mqtt.Stats) uint64 { return s.SessionsLost })},
		{name: "mqtt.client.io", unit: "By", description: "Bytes of packets.",
			read: bothWays(func(s *mqtt.Stats) (uint64, uint64) { return s.BytesSent, s.BytesReceived })},
		{name: "mqtt.client.packets", unit: "{packet}", description: "Packets.",
			read: bothWays(func(s *mqtt.Stats) (uint64, uint64) { return s.PacketsSent, s.PacketsReceived })},
		{name: "mqtt.client.writes", unit: "{write}", description: "Calls that wrote packets.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Writes })},
		{name: "mqtt.client.publish.queued", unit: "{message}", present: true, description: "Messages that wait to be sent.",
			read: one(func(s *mqtt.Stats) int { return s.Queued })},
		{name: "mqtt.client.publish.queued.size", unit: "By", present: true, description: "Memory of the messages that wait to be sent.",
			read: one(func(s *mqtt.Stats) int { return s.QueuedBytes })},
		{name: "mqtt.client.publish.inflight", unit: "{message}", present: true, description: "Messages sent and not acknowledged.",
			read: one(func(s *mqtt.Stats) int { return s.Inflight })},
		{name: "mqtt.client.publish.accepted", unit: "{message}", description: "Messages accepted for publishing.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Published })},
		{name: "mqtt.client.publish.acknowledged", unit: "{message}", description: "Messages that the server has acknowledged.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Acknowledged })},
		{name: "mqtt.client.publish.repeated", unit: "{packet}", description: "PUBLISH packets that the server may have got before.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Repeated })},
		{name: "mqtt.client.publish.failed", unit: "{message}", description: "Accepted messages that failed.",
			read: byCause(func(s *mqtt.Stats) map[string]uint64 {
				f := &s.Failed
				return map[string]uint64{"queue_full": f.QueueFull, "superseded": f.Superseded, "expired": f.Expired, "refused": f.Refused,
					"limit": f.Limit, "undeliverable": f.Undeliverable, "session_lost": f.SessionLost, "store": f.Store,
					"canceled": f.Canceled, "connection_lost": f.Lost, "client_closed": f.Closed}
			})},
		{name: "mqtt.client.receive.messages", unit: "{message}", description: "Messages from the server.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Received })},
		{name: "mqtt.client.receive.duplicates", unit: "{message}", description: "Messages that came again and were not delivered again.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Duplicates })},
		{name: "mqtt.client.receive.dropped", unit: "{message}", description: "Received messages that no consumer got.",
			read: byCause(func(s *mqtt.Stats) map[string]uint64 {
				d := &s.DroppedBy
				return map[string]uint64{"newest": d.Newest, "oldest": d.Oldest, "ended": d.Ended, "no_session": d.NoSession,
					"unclaimed": s.Unclaimed, "refused": s.Refused}
			})},
		{name: "mqtt.client.receive.rejected", unit: "{message}", description: "Messages that the program refused.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Rejected })},
		{name: "mqtt.client.receive.held", unit: "{message}", present: true, description: "Received messages that are not acknowledged.",
			read: one(func(s *mqtt.Stats) int { return s.Held.Messages })},
		{name: "mqtt.client.requests.unanswered", unit: "{request}", description: "Requests that got no response from this client.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Unanswered })},
		{name: "mqtt.client.responses.stray", unit: "{message}", description: "Responses for which no Request waited.",
			read: one(func(s *mqtt.Stats) uint64 { return s.StrayResponses })},
		{name: "mqtt.client.pings", unit: "{ping}", description: "PINGREQs that were answered.",
			read: one(func(s *mqtt.Stats) uint64 { return s.Ping.Count })},
		{name: "mqtt.client.pings.duration", unit: "us", description: "Sum of the times from PINGREQ to PINGRESP.",
			read: one(func(s *mqtt.Stats) int { return int(s.Ping.Sum.Microseconds()) })},
		{name: "mqtt.client.publish.acknowledgements.measured", unit: "{message}", description: "Messages whose acknowledgement was timed.",
			read: one(func(s *mqtt.Stats) uint64 { return s.RoundTrips.Count })},
		{name: "mqtt.client.publish.acknowledgements.duration", unit: "us", description: "Sum of the times from PUBLISH to PUBACK or PUBREC.",
			read: one(func(s *mqtt.Stats) int { return int(s.RoundTrips.Sum.Microseconds()) })},
	}
}

// instruments makes the instruments of Observe, once.
func (t *Telemetry) instruments() ([]figure, error) {
	t.figures.once.Do(func() {
		all := figures()
		for i := range all {
			f := &all[i]
			if f.present {
				f.instrument, t.figures.err = t.meter.Int64ObservableUpDownCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.description))
			} else {
				f.instrument, t.figures.err = t.meter.Int64ObservableCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.description))
			}
			if t.figures.err != nil {
				return
			}
		}
		t.figures.instruments = all
	})
	return t.figures.instruments, t.figures.err
}

// Observe reports the figures of client's Stats with each collection of the metrics, until
// the client has ended or the Registration is unregistered. Each has attributes and
// messaging.client.id, the identifier of the client, which should not be one that changes
// with each start of the program. Observe each client once.
func (t *Telemetry) Observe(client *mqtt.Client, attributes ...attribute.KeyValue) (metric.Registration, error) {
	all, err := t.instruments()
	if err != nil {
		return nil, err
	}
	var observed []metric.Observable
	for _, f := range all {
		observed = append(observed, f.instrument)
	}
	return t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		select {
		case <-client.Done():
			return nil
		default:
		}
		common := append([]attribute.KeyValue(nil), attributes...)
		if id := client.ServerInfo().ClientID; id != "" {
			common = append(common, semconv.MessagingClientID(id))
		}
		stats := client.Stats()
		for _, f := range all {
			f.read(&stats, func(value int64, more ...attribute.KeyValue) {
				o.ObserveInt64(f.instrument, value, metric.WithAttributes(append(more, common...)...))
			})
		}
		return nil
	}, observed...)
}
