package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// ClientSettings are what a Client needs to know besides its CONNECT packets.
type ClientSettings struct {
	// Inflight limits the unacknowledged QoS 1 and 2 messages that we send, within
	// the server's Receive Maximum. Zero means 1,024, and 20 before 5.0, where a
	// server cannot announce a limit: Mosquitto 2.0 loses QoS 2 messages over a
	// reconnect if more are in flight than its own limit of 20.
	Inflight int
	// InflightBytes limits the memory of these messages together, in bytes; see
	// [wire.Publish.Cost]. A message that is larger may be in flight alone. Zero means
	// no limit.
	InflightBytes int
	// PingTimeout is how long the server may take to answer a PINGREQ. Zero
	// means half of the keep-alive interval; more than the interval counts as
	// the interval.
	PingTimeout time.Duration
	// TopicAliases is how many automatically chosen topic aliases are used towards
	// the server, within what it allows (5.0). Zero means none; messages may then
	// bring their own.
	TopicAliases uint16
	// HasSession says that a server may hold a session of this client from before,
	// although this Client is new. If it is not set, a Session Present in the first
	// CONNACK is a protocol error.
	HasSession bool
	// UnorderedAnswers sends PUBACK and PUBREC as soon as a message is acknowledged,
	// not in the order of arrival: a departure from [MQTT-4.6.0-2] and
	// [MQTT-4.6.0-3].
	UnorderedAnswers bool
	// MaximumQoS is the highest QoS that the servers support. If nil, it is what each
	// of them announces. Servers before 5.0 cannot announce it.
	MaximumQoS *wire.QoS
	// LowerQoS sends QoS 2 messages at QoS 1 to a server that has no QoS 2. Otherwise they
	// fail with a [*LimitError].
	LowerQoS bool
	// NoSubscriptionIDs leaves out subscription identifiers, as if no server supported
	// them.
	NoSubscriptionIDs bool
	// FailLost lets messages that were sent and not acknowledged fail with
	// ErrSessionLost if the session is not continued. Otherwise they are published
	// again as new messages, which may deliver them twice.
	FailLost bool
	// FiltersPerSubscribe bounds the filters in one SUBSCRIBE or UNSUBSCRIBE of
	// Subscriptions. Zero means 65,536.
	FiltersPerSubscribe int
	// AlwaysSubscribe repeats SUBSCRIBE on every connection before 5.0, too. This
	// brings the retained messages again. On 5.0 it is always repeated.
	AlwaysSubscribe bool
	// Retry decides about each message that the server refuses. If nil, they are
	// completed.
	Retry Retry
	// RetryFor limits how long a message waits to be sent again, from its first refusal
	// on. It then completes with ErrExpired. Zero means no limit.
	RetryFor time.Duration
	// Rate bounds what is sent in time. Messages that it holds back wait in the queue;
	// Deadline says when to call Tick for them. Submit and Pump then need the time.
	Rate Rate
	// Journal is told what a later process must know. If nil, the session ends with
	// this one.
	Journal Journal
	// Tolerate is told of each mistake of the server that is passed over because it
	// harms no message: those of [wire.Decoder.Tolerate], and those that only the state
	// of the session shows. If nil, every mistake ends the connection, as the
	// specification demands.
	Tolerate func(*wire.Error)
	// Reauthentication is called for each step of a re-authentication, which
	// [Client.Authenticate] then answers. If the connection ends first, it is called
	// with an error.
	Reauthentication func(AuthStep, error)
}

// restrict adds the limits that the server does not announce.
func (s *ClientSettings) restrict(l *Limits) {
	if s.MaximumQoS != nil {
		l.MaximumQoS = min(l.MaximumQoS, *s.MaximumQoS)
	}
	l.NoSubscriptionIDs = l.NoSubscriptionIDs || s.NoSubscriptionIDs
}

func (c *Client) inflightLimit(v wire.Version) int {
	switch {
	case c.settings.Inflight > 0:
		return c.settings.Inflight
	case v < wire.V5:
		return 20
	}
	return 1024
}
