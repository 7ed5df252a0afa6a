package mqtt

import (
	"sync/atomic"

	"github.com/seed65a45251/mqtt/session"
)

// Stats counts events since Connect and shows the present contents of the queues. It
// includes the connections of SubscribeOptions.OwnConnection. A counter never decreases.
//
// It has five parts, whose fields are its own: Stats.Lost is that of ConnectionStats.
type Stats struct {
	ConnectionStats
	TrafficStats
	PublishStats
	ReceiveStats
	RequestStats
}

// ConnectionStats is the part of Stats about connections.
type ConnectionStats struct {
	Connections    uint64 // established so far
	Lost           uint64 // of them, those that have ended
	Up             int    // of them, those that are up now
	SessionsLost   uint64 // of them, those that began with a new session where there had been one; see SessionLost
	FailedAttempts FailedAttempts
	Ended          EndedConnections
	Ping           RoundTrips // from PINGREQ to PINGRESP, both of Client.Ping and of keep-alive
}

// FailedAttempts counts attempts to connect that failed, by cause. An attempt is one try
// of one server, at all of its addresses. Where these fail in different ways, what comes
// first here counts.
type FailedAttempts struct {
	Refused  map[ReasonCode]uint64 // by CONNACK, or by a DISCONNECT in its place; nil: never
	Protocol uint64                // the server broke the rules, or speaks another protocol
	HTTP     uint64                // a server refused a WebSocket, or a proxy CONNECT
	TLS      uint64                // no agreement, or a certificate was refused by either side
	Canceled uint64                // the context of Connect ended, or the client did
	Local    uint64                // Config.Attempt, Config.Authenticator or Config.Store failed
	Timeout  uint64                // Config.ConnectTimeout
	Network  uint64                // no address, no route, nobody listens, a connection broke
}

// EndedConnections counts the ends of connections that a server had accepted, by cause.
type EndedConnections struct {
	Closed    uint64                // by Close, Disconnect or the end of the client
	Renewed   uint64                // by Reconnect, Config.MaximumConnectionAge, or by the client for a new one
	Server    map[ReasonCode]uint64 // by the server with DISCONNECT, or before 5.0 a second CONNACK; nil: never
	HungUp    uint64                // by the server, without a word
	KeepAlive uint64                // the server did not answer PINGREQ
	Protocol  uint64                // the server broke the rules
	Local     uint64                // Config.Authenticator or Config.Store failed
	Network   uint64                // the network broke, or took nothing for Config.WriteTimeout
}

// TrafficStats is the part of Stats about what passed over connections. Bytes are those
// of packets, without TLS, WebSocket and TCP.
type TrafficStats struct {
	BytesSent       uint64
	BytesReceived   uint64
	PacketsSent     uint64 // given to connections; those of one that broke may not have left
	PacketsReceived uint64
	Writes          uint64 // to connections; several packets share one when there is much to send
}

// PublishStats is the part of Stats about messages to be published.
type PublishStats struct {
	Published      uint64 // messages that Publish, PublishAsync and others accepted
	Acknowledged   uint64 // QoS 1 and 2 messages that the server accepted
	Repeated       uint64 // PUBLISH packets at QoS 1 and 2 that the server may have got before
	RetriedRefused uint64 // refusals after which a message waits to be sent again; see Config.RetryRefused
	QueueDropped   uint64 // messages that Config.WhenFull dropped
	Failed         FailedMessages
	Queued         int        // messages waiting to be sent
	QueuedBytes    int        // of memory: topics, payloads and properties
	Inflight       int        // messages sent and not acknowledged
	RoundTrips     RoundTrips // from PUBLISH to PUBACK or PUBREC, of one message at a time
}

// FailedMessages counts messages to be published that failed, by cause. What Publish or
// PublishAsync refused at once is not counted, except for FullDropNewest.
type FailedMessages struct {
	QueueFull     uint64 // dropped by Config.WhenFull
	Superseded    uint64 // likewise, for a later message of the topic; see FullKeepLatest
	Expired       uint64 // waited too long: ErrExpired
	Refused       uint64 // by the server: a *ServerError
	Limit         uint64 // beyond a limit of the server, or nothing for its version
	Undeliverable uint64 // the server hung up each time: ErrUndeliverable
	SessionLost   uint64 // by Config.FailOnSessionLoss
	Store         uint64 // Config.Store did not take the message
	Canceled      uint64 // the context of Publish ended before the message was sent
	Lost          uint64 // QoS 0 messages of connections that ended before they were written
	Closed        uint64 // left when the client ended, except for what stays in Config.Store
}

// ReceiveStats is the part of Stats about messages from the server.
type ReceiveStats struct {
	Received     uint64 // messages that came, without duplicates, those refused included
	Duplicates   uint64 // QoS 1 and 2 messages that came again and were not delivered again
	Dropped      uint64 // by the limits of a Subscription
	DroppedBy    DroppedMessages
	Unclaimed    uint64 // matched no Subscription and were dropped
	Refused      uint64 // malformed, too large, or with too many properties, and dropped for that
	Rejected     uint64 // QoS 1 and 2 messages that the program refused, by Message.Refuse or in Handle
	Retried      uint64 // failures of a function of Handle after which it is called again; see FailurePolicy
	DeadLettered uint64 // messages that became dead letters
	Unfinished   int    // QoS 1 and 2 messages whose exchange is not finished

	Held          Held // QoS 1 and 2 messages that are not acknowledged; see also Subscription.Held
	HeldUnclaimed Held // of them, those that wait for a Subscription
}

// DroppedMessages counts received messages that the limits of a Subscription dropped, by
// cause. A message for several Subscriptions counts for each.
type DroppedMessages struct {
	Newest    uint64 // the buffer was full: SubscribeOptions.Overflow is DropNewest
	Oldest    uint64 // likewise, with DropOldest
	Ended     uint64 // QoS 0, when the connection or the client ended and the buffer was full or closed
	NoSession uint64 // QoS 1 and 2, the buffer was full and the session ends with the connection
}

// RoundTrips says how long the server took to answer. Its fields are:
//
//	Count   uint64
//	Sum     time.Duration // of all; divided by Count it is the mean
//	Last    time.Duration // zero: there was none yet
//	Min     time.Duration
//	Max     time.Duration
//	Buckets []RoundTripBucket // cumulative, with bounds that increase and are always the same; nil: there was none yet
//
// It has one method:
//
//	Add(o RoundTrips) // adds what was measured elsewhere, after those of the receiver
type RoundTrips = session.RoundTrips

// RoundTripBucket counts round trips. Those beyond the last bucket are in the Count of
// RoundTrips only. Its fields are:
//
//	AtMost time.Duration
//	Count  uint64 // round trips that took at most so long
//
// It has no methods.
type RoundTripBucket = session.RoundTripBucket

// RequestStats is the part of Stats about requests and responses.
type RequestStats struct {
	StrayResponses   uint64 // responses for which no Request waited, or not any more
	Unanswered       uint64 // requests that Respond got and could not send a response to, or that had expired
	RepeatedRequests uint64 // requests that Respond got again, and for which it did not call its function again
}

// counters are guarded by engine.mu, except the atomic ones.
type counters struct {
	established, sessionsLost uint64
	outcomes                  *outcomes // nil: there was none

	traffic           traffic
	dropped           dropped
	stray, unanswered atomic.Uint64
	rejected, retried atomic.Uint64
	deadLettered      atomic.Uint64
	repeated          atomic.Uint64 // requests that came again
}

// traffic counts what went over all connections of a client.
type traffic struct {
	sent, received atomic.Uint64 // bytes
	writes         atomic.Uint64
	messages       atomic.Uint64 // received
}

// dropped counts received messages that nobody got.
type dropped struct{ newest, oldest, ended, noSession, unclaimed, refused atomic.Uint64 }

func (d *dropped) show() DroppedMessages {
	return DroppedMessages{
		Newest: d.newest.Load(), Oldest: d.oldest.Load(), Ended: d.ended.Load(), NoSession: d.noSession.Load(),
	}
}

func (d *DroppedMessages) all() uint64 { return d.Newest + d.Oldest + d.Ended + d.NoSession }

// outcomes counts how attempts and connections ended. Most clients have none of it for long.
type outcomes struct {
	attempts FailedAttempts
	ends     EndedConnections
}

// outcome returns the outcomes to count in. Called with engine.mu held.
func (c *counters) outcome() *outcomes {
	if c.outcomes == nil {
		c.outcomes = new(outcomes)
	}
	return c.outcomes
}

// shown returns a copy of the outcomes. Called with engine.mu held.
func (c *counters) shown() (all outcomes) {
	if c.outcomes != nil {
		all = *c.outcomes
		all.attempts.Refused = sumOf(nil, all.attempts.Refused)
		all.ends.Server = sumOf(nil, all.ends.Server)
	}
	return all
}

// countCode counts code in *m.
func countCode(m *map[ReasonCode]uint64, code ReasonCode) {
	if *m == nil {
		*m = make(map[ReasonCode]uint64)
	}
	(*m)[code]++
}

// sumOf returns the sum of a and b in a map of its own; nil: both are empty.
func sumOf(a, b map[ReasonCode]uint64) map[ReasonCode]uint64 {
	if len(a)+len(b) == 0 {
		return nil
	}
	sum := make(map[ReasonCode]uint64, max(len(a), len(b)))
	for code, n := range a {
		sum[code] += n
	}
	for code, n := range b {
		sum[code] += n
	}
	return sum
}
