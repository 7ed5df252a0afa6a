package prommqtt

import (
	"crypto/tls"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed65a45251/mqtt"
)

// clientFigures are what is known of a client at the time of a scrape.
type clientFigures struct {
	mqtt.Stats
	info mqtt.ServerInfo
}

var ofClient = kind[clientFigures]{"mqtt_client_", "client"}

var clientFamilies = []family[clientFigures]{
	ofClient.series(prometheus.GaugeValue, "connection_info", "The connection that is up now, with its server.",
		[]string{"client_id", "server", "address", "version", "tls"}, connectionInfo),
	ofClient.series(prometheus.GaugeValue, "connection_start_time_seconds", "When the server accepted the connection that is up now, since the epoch.",
		nil, connectionStart),
	ofClient.series(prometheus.GaugeValue, "server_certificate_expiry_timestamp_seconds", "When the first certificate of the server's chain expires, since the epoch.",
		nil, certificateExpiry),
	ofClient.gauge("connections", "Connections that are up now.", func(s *clientFigures) int { return s.Up }),
	ofClient.counter("connections_established_total", "Connections that a server has accepted.", func(s *clientFigures) uint64 { return s.Connections }),
	ofClient.counter("connections_lost_total", "Connections that a server had accepted and that have ended.", func(s *clientFigures) uint64 { return s.Lost }),
	ofClient.counter("sessions_lost_total", "Connections that began with a new session where there had been one.", func(s *clientFigures) uint64 { return s.SessionsLost }),
	ofClient.reasons("connect_failures_total", "Attempts to connect that failed.", "refused", failedAttempts),
	ofClient.reasons("connection_ends_total", "Ends of connections that a server had accepted.", "server", endedConnections),
	ofClient.histogram("ping_duration_seconds", "Time from PINGREQ to PINGRESP.", func(s *clientFigures) mqtt.RoundTrips { return s.Ping }),

	ofClient.counter("sent_bytes_total", "Bytes of packets sent, without TLS, WebSocket and TCP.", func(s *clientFigures) uint64 { return s.BytesSent }),
	ofClient.counter("received_bytes_total", "Bytes of packets received, without TLS, WebSocket and TCP.", func(s *clientFigures) uint64 { return s.BytesReceived }),
	ofClient.counter("sent_packets_total", "Packets given to connections.", func(s *clientFigures) uint64 { return s.PacketsSent }),
	ofClient.counter("received_packets_total", "Packets received.", func(s *clientFigures) uint64 { return s.PacketsReceived }),
	ofClient.counter("writes_total", "Writes to connections, of one packet or several each.", func(s *clientFigures) uint64 { return s.Writes }),

	ofClient.counter("published_messages_total", "Messages that the client accepted to publish.", func(s *clientFigures) uint64 { return s.Published }),
	ofClient.counter("acknowledged_messages_total", "Messages at QoS 1 and 2 that the server accepted.", func(s *clientFigures) uint64 { return s.Acknowledged }),
	ofClient.counter("repeated_messages_total", "PUBLISH packets at QoS 1 and 2 that the server may have got before.", func(s *clientFigures) uint64 { return s.Repeated }),
	ofClient.counter("retried_messages_total", "Refusals after which a message waits to be sent again.", func(s *clientFigures) uint64 { return s.RetriedRefused }),
	ofClient.causes("failed_messages_total", "Messages to be published that failed.", failedMessages),
	ofClient.gauge("queued_messages", "Messages that wait to be sent.", func(s *clientFigures) int { return s.Queued }),
	ofClient.gauge("queued_bytes", "Memory of the messages that wait to be sent.", func(s *clientFigures) int { return s.QueuedBytes }),
	ofClient.gauge("inflight_messages", "Messages that are sent and not acknowledged.", func(s *clientFigures) int { return s.Inflight }),
	ofClient.histogram("publish_duration_seconds", "Time from PUBLISH to PUBACK or PUBREC, of one message at a time.", func(s *clientFigures) mqtt.RoundTrips { return s.RoundTrips }),

	ofClient.counter("received_messages_total", "Messages from the server, without duplicates.", func(s *clientFigures) uint64 { return s.Received }),
	ofClient.counter("duplicate_messages_total", "Messages at QoS 1 and 2 that came again and were not delivered again.", func(s *clientFigures) uint64 { return s.Duplicates }),
	ofClient.causes("dropped_messages_total", "Received messages that no consumer got.", droppedMessages),
	ofClient.counter("rejected_messages_total", "Received messages that the program refused.", func(s *clientFigures) uint64 { return s.Rejected }),
	ofClient.counter("handler_retries_total", "Failures of a function of Handle after which it is called again.", func(s *clientFigures) uint64 { return s.Retried }),
	ofClient.counter("dead_letter_messages_total", "Messages that became dead letters.", func(s *clientFigures) uint64 { return s.DeadLettered }),
	ofClient.gauge("unfinished_messages", "Received messages at QoS 1 and 2 whose exchange is not finished.", func(s *clientFigures) int { return s.Unfinished }),
	ofClient.gauge("held_messages", "Received messages at QoS 1 and 2 that are not acknowledged.", func(s *clientFigures) int { return s.Held.Messages }),
	ofClient.gauge("held_bytes", "Memory of the received messages that are not acknowledged.", func(s *clientFigures) int { return s.Held.Bytes }),
	ofClient.series(prometheus.GaugeValue, "held_age_seconds", "How long the oldest received message has not been acknowledged.", nil,
		func(s *clientFigures, add func(float64, ...string)) { add(s.Held.Age.Seconds()) }),
	ofClient.gauge("unclaimed_messages", "Received messages at QoS 1 and 2 that wait for a Subscription.", func(s *clientFigures) int { return s.HeldUnclaimed.Messages }),

	ofClient.counter("stray_responses_total", "Responses for which no Request waited.", func(s *clientFigures) uint64 { return s.StrayResponses }),
	ofClient.counter("unanswered_requests_total", "Requests that Respond got and could not answer.", func(s *clientFigures) uint64 { return s.Unanswered }),
	ofClient.counter("repeated_requests_total", "Requests that Respond got again, and for which it did not call its function again.", func(s *clientFigures) uint64 { return s.RepeatedRequests }),
}

func connectionInfo(s *clientFigures, add func(float64, ...string)) {
	if s.Up == 0 || s.info.Server == "" {
		return
	}
	secure := ""
	if s.info.TLS != nil {
		secure = tls.VersionName(s.info.TLS.Version)
	}
	text := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") } // the path of a socket may be anything
	add(1, s.info.ClientID, text(s.info.Server), text(s.info.Address), s.info.Version.String(), secure)
}

func connectionStart(s *clientFigures, add func(float64, ...string)) {
	if s.Up > 0 && !s.info.Since.IsZero() {
		add(unixSeconds(s.info.Since))
	}
}

// certificateExpiry is that of the certificate of the chain which expires first.
func certificateExpiry(s *clientFigures, add func(float64, ...string)) {
	if s.Up == 0 || s.info.TLS == nil || len(s.info.TLS.PeerCertificates) == 0 {
		return
	}
	first := s.info.TLS.PeerCertificates[0].NotAfter
	for _, c := range s.info.TLS.PeerCertificates {
		if c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	add(unixSeconds(first))
}

func failedAttempts(s *clientFigures) ([]cause, map[mqtt.ReasonCode]uint64) {
	f := &s.FailedAttempts
	return []cause{
		{"protocol", f.Protocol}, {"http", f.HTTP}, {"tls", f.TLS}, {"canceled", f.Canceled},
		{"local", f.Local}, {"timeout", f.Timeout}, {"network", f.Network},
	}, f.Refused
}

func endedConnections(s *clientFigures) ([]cause, map[mqtt.ReasonCode]uint64) {
	e := &s.Ended
	return []cause{
		{"closed", e.Closed}, {"renewed", e.Renewed}, {"hung_up", e.HungUp}, {"keep_alive", e.KeepAlive},
		{"protocol", e.Protocol}, {"local", e.Local}, {"network", e.Network},
	}, e.Server
}

func failedMessages(s *clientFigures) []cause {
	f := &s.Failed
	return []cause{
		{"queue_full", f.QueueFull}, {"superseded", f.Superseded}, {"expired", f.Expired}, {"refused", f.Refused},
		{"limit", f.Limit}, {"undeliverable", f.Undeliverable}, {"session_lost", f.SessionLost}, {"store", f.Store},
		{"canceled", f.Canceled}, {"lost", f.Lost}, {"closed", f.Closed},
	}
}

func droppedMessages(s *clientFigures) []cause {
	d := &s.DroppedBy
	return []cause{
		{"newest", d.Newest}, {"oldest", d.Oldest}, {"ended", d.Ended}, {"no_session", d.NoSession},
		{"unclaimed", s.Unclaimed}, {"refused", s.Refused},
	}
}
