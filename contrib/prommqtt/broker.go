package prommqtt

import "github.com/seed65a45251/mqtt/broker"

var ofBroker = kind[broker.Stats]{"mqtt_broker_", "broker"}

var brokerFamilies = []family[broker.Stats]{
	ofBroker.gauge("connections", "Connections that are open, those without CONNECT included.", func(s *broker.Stats) int { return s.Connections }),
	ofBroker.gauge("connected_clients", "Clients with a connection.", func(s *broker.Stats) int { return s.Connected }),
	ofBroker.gauge("sessions", "Sessions of present and absent clients.", func(s *broker.Stats) int { return s.Sessions }),
	ofBroker.gauge("durable_sessions", "Sessions that are kept in the Store.", func(s *broker.Stats) int { return s.Durable }),
	ofBroker.gauge("subscriptions", "Filters of clients, shared ones once for each client.", func(s *broker.Stats) int { return s.Subscriptions }),
	ofBroker.gauge("retained_messages", "Retained messages.", func(s *broker.Stats) int { return s.Retained }),
	ofBroker.gauge("memory_bytes", "Memory of Config.Memory that is in use.", func(s *broker.Stats) int { return s.Memory }),

	ofBroker.counter("received_messages_total", "Messages that clients published.", func(s *broker.Stats) uint64 { return s.Received }),
	ofBroker.counter("sent_messages_total", "Messages handed to connections or queues of clients.", func(s *broker.Stats) uint64 { return s.Sent }),
	ofBroker.causes("undelivered_messages_total", "Messages that one client did not get.", func(s *broker.Stats) []cause {
		return []cause{{"dropped", s.Dropped}, {"expired", s.Expired}}
	}),
	ofBroker.counter("denied_total", "Messages and filters that a hook refused.", func(s *broker.Stats) uint64 { return s.Denied }),
	ofBroker.counter("refused_connections_total", "Connections that ended without a successful CONNACK.", func(s *broker.Stats) uint64 { return s.Refused }),

	ofBroker.counter("received_bytes_total", "Bytes of packets received, without TLS, WebSocket and TCP.", func(s *broker.Stats) uint64 { return s.BytesReceived }),
	ofBroker.counter("sent_bytes_total", "Bytes of packets sent, without TLS, WebSocket and TCP.", func(s *broker.Stats) uint64 { return s.BytesSent }),

	ofBroker.counter("store_commits_total", "Commits to the Store.", func(s *broker.Stats) uint64 { return s.Commits }),
	ofBroker.counter("store_commit_errors_total", "Commits to the Store that failed.", func(s *broker.Stats) uint64 { return s.CommitErrors }),
}
