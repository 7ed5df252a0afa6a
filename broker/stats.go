package broker

// Stats are figures of a broker since it was made.
type Stats struct {
	Connections   int // open now, those without CONNECT included
	Connected     int // clients with a connection
	Sessions      int // of present and absent clients
	Subscriptions int // filters of clients, shared ones once per client
	Retained      int // retained messages
	Durable       int // sessions that are kept in Config.Store
	Memory        int // bytes of Config.Memory that are in use

	Received uint64 // messages that clients published
	Sent     uint64 // messages handed to connections or queues of clients
	Dropped  uint64 // messages not delivered to one client because its queue was full, or to any of a shared subscription
	Expired  uint64 // messages not delivered to one client because they got too old or too large for it
	Denied   uint64 // messages and filters that a hook refused
	Refused  uint64 // connections that ended without a successful CONNACK

	BytesReceived uint64 // of packets, without TLS, WebSocket and TCP
	BytesSent     uint64

	Commits      uint64 // to Config.Store, each with all changes that had gathered
	CommitErrors uint64 // Commits that failed; their changes were refused or tried again
}

// Stats returns the current figures.
func (b *Broker) Stats() Stats {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.statsLocked()
}

// statsLocked is Stats for callers that hold hub.mu.
func (b *Broker) statsLocked() Stats {
	s := Stats{
		Connections:   len(b.conns),
		Sessions:      len(b.clients),
		Retained:      b.retained.topics.Len(),
		Memory:        int(b.memory.used.Load()),
		Received:      b.counts.received.Load(),
		Sent:          b.counts.sent.Load(),
		Dropped:       b.counts.dropped.Load(),
		Expired:       b.counts.expired.Load(),
		Denied:        b.counts.denied.Load(),
		Refused:       b.counts.refused.Load(),
		BytesReceived: b.counts.bytesReceived.Load(),
		BytesSent:     b.counts.bytesSent.Load(),
		Commits:       b.counts.commits.Load(),
		CommitErrors:  b.counts.commitErrors.Load(),
	}
	for _, cl := range b.clients {
		s.Subscriptions += len(cl.subscriptions)
		if cl.online.Load() {
			s.Connected++
		}
		if cl.durable.Load() {
			s.Durable++
		}
	}
	return s
}
