package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// ClientSettings are what a Client needs to know besides its CONNECT packets.
type ClientSettings struct {
	// Inflight limits the unacknowledged QoS 1 and 2 messages that we send,
	// within the server's Receive Maximum. Zero means 1,024, and 20 before 5.0,
	// where a server cannot say what it holds: Mosquitto 2.0 loses QoS 2 messages
	// over a reconnect when more are in flight than its own limit of 20.
	Inflight int
	// InflightBytes limits what they cost together; see [wire.Publish.Cost]. One alone
	// may be larger. Zero means no limit.
	InflightBytes int
	// PingTimeout is how long the server may take to answer a PINGREQ. Zero
	// means half of the keep-alive interval; more than the interval counts as
	// the interval.
	PingTimeout time.Duration
	// TopicAliases is how many topic aliases are used towards the server, which are
	// chosen automatically, within what it allows (5.0). Zero means none; messages
	// may then bring their own.
	TopicAliases uint16
	// HasSession says that the server may hold a session of this client from
	// before, although this Client is new. Without it a Session Present in the
	// first CONNACK is a protocol error.
	HasSession bool
	// UnorderedAnswers sends PUBACK and PUBREC as soon as a message is acknowledged,
	// not in the order of arrival: a departure from [MQTT-4.6.0-2] and
	// [MQTT-4.6.0-3].
	UnorderedAnswers bool
	// MaximumQoS is the highest QoS that servers have. If nil, it is what each of
	// them says, which it cannot before 5.0.
	MaximumQoS *wire.QoS
	// NoSubscriptionIDs leaves subscription identifiers out, as if no server had them.
	NoSubscriptionIDs bool
	// FailLost lets messages that were sent and not acknowledged fail with
	// ErrSessionLost where the session is not continued, instead of being published
	// again as new ones, which may bring them to somebody twice.
	FailLost bool
	// FiltersPerSubscribe bounds how many filters one SUBSCRIBE or UNSUBSCRIBE of
	// Subscriptions has. Zero means 65,536.
	FiltersPerSubscribe int
	// AlwaysSubscribe repeats SUBSCRIBE on every connection before 5.0, too, which
	// brings retained messages again. In 5.0 it always is.
	AlwaysSubscribe bool
	// Tolerate is told of each mistake of the server that is passed over
	// because it harms no message: what [wire.Decoder.Tolerate] says, and what only the
	// state of the session shows. If nil, every mistake ends the connection, as the
	// specification demands.
	Tolerate func(*wire.Error)
	// Reauthentication is called for each step of a re-authentication,
	// which [Client.Authenticate] then answers, or with an error when the
	// connection ended first.
	Reauthentication func(AuthStep, error)
}

// restrict adds what the server does not say of itself.
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
