package mqtt

import (
	"sync/atomic"
)

// Stats are counts since Connect and the present fill of the queues. What comes on
// the connections of SubscribeOptions.OwnConnection is included.
type Stats struct {
	Connections uint64 // established so far
	Lost        uint64 // of them, ended

	BytesSent     uint64
	BytesReceived uint64

	Published    uint64 // messages accepted for publishing
	QueueDropped uint64 // messages to be published that Config.WhenFull dropped
	Received     uint64 // messages from the server, those refused included
	Dropped      uint64 // received messages dropped by a Subscription's limits
	Unclaimed    uint64 // received messages that matched no Subscription and were dropped
	Refused      uint64 // messages from the server that are malformed or too large, or have too many properties, and were dropped for that

	StrayResponses uint64 // responses for which no Request waited, or not any more
	Unanswered     uint64 // requests that Respond got and could not send a response to

	Queued      int // messages waiting to be sent
	QueuedBytes int // of memory: topics, payloads and properties
	Inflight    int // messages sent and not acknowledged
	Unfinished  int // received QoS 1 and 2 messages whose exchange is not finished

	Held          Held // received QoS 1 and 2 messages that are not acknowledged; see also Subscription.Held
	HeldUnclaimed Held // of them, those that wait for a Subscription
}

// counters are guarded by engine.mu, except the atomic ones.
type counters struct {
	connections, lost, published, queueDropped, received uint64

	bytesSent, bytesReceived, dropped, unclaimed, refused, stray, unanswered atomic.Uint64
}

// Stats returns the client's counters. It is cheap.
func (c *Client) Stats() Stats {
	s := c.stats()
	s.add(c.ownStats())
	return s
}

func (c *Client) stats() Stats {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.holds.hand(c.engine.Client)
	s := Stats{
		Connections:   c.engine.counters.connections,
		Lost:          c.engine.counters.lost,
		BytesSent:     c.engine.counters.bytesSent.Load(),
		BytesReceived: c.engine.counters.bytesReceived.Load(),
		Published:     c.engine.counters.published,
		QueueDropped:  c.engine.counters.queueDropped,
		Received:      c.engine.counters.received,
		Dropped:       c.engine.counters.dropped.Load(),
		Unclaimed:     c.engine.counters.unclaimed.Load(),
		Refused:       c.engine.counters.refused.Load(),

		StrayResponses: c.engine.counters.stray.Load(),
		Unanswered:     c.engine.counters.unanswered.Load(),

		Inflight:   c.engine.Sender.Inflight(),
		Unfinished: c.engine.Receiver.Unfinished(),
	}
	s.Queued, s.QueuedBytes = c.engine.Sender.Queued()
	s.Held = c.holds.total()
	s.HeldUnclaimed = c.holds.count(&c.router.unclaimed.shelf)
	return s
}
