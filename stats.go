package mqtt

import "sync/atomic"

// Stats counts events since Connect and the present contents of the queues. It includes
// the connections of SubscribeOptions.OwnConnection.
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
	Rejected       uint64 // received QoS 1 and 2 messages that the program has refused, by Message.Refuse or in Handle

	Queued      int // messages waiting to be sent
	QueuedBytes int // of memory: topics, payloads and properties
	Inflight    int // messages sent and not acknowledged
	Unfinished  int // received QoS 1 and 2 messages whose exchange is not finished

	Held          Held // received QoS 1 and 2 messages that are not acknowledged; see also Subscription.Held
	HeldUnclaimed Held // of them, those that wait for a Subscription
}

// counters are guarded by engine.mu, except the atomic ones.
type counters struct {
	connections, lost, published uint64

	traffic                                        traffic
	dropped, unclaimed, refused, stray, unanswered atomic.Uint64
	rejected                                       atomic.Uint64
}

// traffic counts what went over all connections of a client.
type traffic struct {
	sent, received atomic.Uint64 // bytes
	messages       atomic.Uint64 // received
}

// add adds what another client has counted.
func (s *Stats) add(o Stats) {
	s.Connections += o.Connections
	s.Lost += o.Lost
	s.BytesSent += o.BytesSent
	s.BytesReceived += o.BytesReceived
	s.Received += o.Received
	s.Dropped += o.Dropped
	s.Unclaimed += o.Unclaimed
	s.Rejected += o.Rejected
	s.Unfinished += o.Unfinished
	s.Held.add(o.Held)
	s.HeldUnclaimed.add(o.HeldUnclaimed)
}
