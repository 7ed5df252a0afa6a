package session

import (
	"bytes"
	"math"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// These are the rules by which a server judges packets of a client, as far as they
// depend only on the packet and on what both sides have announced. [Server] uses them,
// and so do servers that are built on [Sender] and [Receiver].
//
// The functions that begin with Refuse return nil, or a [*wire.Error] with the reason
// for the refusal. The server then ends the connection: with CONNACK if the packet is
// CONNECT, and with DISCONNECT otherwise.

// RefuseWill returns why a server refuses CONNECT because of its will w, or nil. w
// may be nil. announced are the limits that CONNACK would announce.
func RefuseWill(w *wire.Will, announced Limits) error {
	switch {
	case w == nil:
		return nil
	case w.QoS > announced.MaximumQoS:
		// [MQTT-3.2.2-12]
		return protocolError(wire.TypeConnect, wire.QoSNotSupported, "QoS of the will")
	case w.Retain && announced.NoRetain:
		// [MQTT-3.2.2-13]
		return protocolError(wire.TypeConnect, wire.RetainNotSupported, "will is retained")
	}
	return nil
}

// RefusePublish returns why a server refuses p, or nil. announced are the limits that
// CONNACK has announced.
func RefusePublish(p *wire.Publish, announced Limits) error {
	switch {
	case p.QoS > announced.MaximumQoS:
		// [MQTT-3.2.2-11]
		return protocolError(wire.TypePublish, wire.QoSNotSupported, "QoS above the maximum")
	case p.Retain && announced.NoRetain:
		// [MQTT-3.2.2-14]
		return protocolError(wire.TypePublish, wire.RetainNotSupported, "retained message")
	case p.Properties != nil && match.HasWildcard(p.Properties.ResponseTopic):
		// [MQTT-3.3.2-14]
		return protocolError(wire.TypePublish, wire.ProtocolError, "response topic has a wildcard")
	}
	return nil
}

// RefuseSubscribe returns why a server refuses p as a whole, or nil. announced are the
// limits that CONNACK has announced. Clients before 5.0 were not told the limits: the
// caller refuses their filters one by one in SUBACK ([MQTT-3.8.3-2] of 3.1.1).
func RefuseSubscribe(p *wire.Subscribe, v wire.Version, announced Limits) error {
	if v < wire.V5 {
		return nil
	}
	refused := func(code wire.ReasonCode) error {
		return protocolError(wire.TypeSubscribe, code, "was announced as not available")
	}
	if p.SubscriptionID != 0 && announced.NoSubscriptionIDs {
		return refused(wire.SubscriptionIdentifiersNotSupported)
	}
	if !announced.NoShared && !announced.NoWildcards {
		return nil
	}
	for i := range p.Filters {
		_, filter, shared := match.SplitShared(p.Filters[i].Filter)
		switch {
		case shared && announced.NoShared:
			return refused(wire.SharedSubscriptionsNotSupported)
		case announced.NoWildcards && match.HasWildcard(filter):
			return refused(wire.WildcardSubscriptionsNotSupported)
		}
	}
	return nil
}

// RefuseDisconnect returns why p is not a valid DISCONNECT, or nil. asked is the
// session expiry interval of CONNECT; see [ConnectExpiry].
func RefuseDisconnect(p *wire.Disconnect, asked uint32) error {
	// Section 3.14.2.2.2: a session that was to end with its connection cannot be kept.
	if interval := p.SessionExpiryInterval; interval != nil && *interval > 0 && asked == 0 {
		return protocolError(wire.TypeDisconnect, wire.ProtocolError, "session expiry interval after none in CONNECT")
	}
	return nil
}

// RefusalVersion returns the version whose CONNACK refuses a CONNECT with a protocol
// level that the server does not speak. body is that of the packet. 0 means that there
// is no CONNACK and the connection is closed. For a level above 5.0, whose CONNACK is
// not known, it returns 5.0. [MQTT-3.1.2-2]
func RefusalVersion(body []byte) wire.Version {
	for _, name := range []string{"\x00\x04MQTT", "\x00\x06MQIsdp"} {
		level, ours := bytes.CutPrefix(body, []byte(name))
		switch {
		case !ours || len(level) == 0:
			continue
		case wire.Version(level[0]) > wire.V5:
			return wire.V5
		}
		return wire.V311
	}
	return 0 // [MQTT-3.1.2-1] another protocol
}

// ConnectLimits returns the limits that the client announces in p.
func ConnectLimits(p *wire.Connect) Limits {
	l := NoLimits()
	if p.Version < wire.V5 {
		return l
	}
	if p.ReceiveMaximum > 0 {
		l.ReceiveMaximum = p.ReceiveMaximum
	}
	l.MaximumPacketSize = p.MaximumPacketSize
	l.TopicAliasMaximum = p.TopicAliasMaximum
	return l
}

// forever is the session expiry interval that never runs out.
const forever = math.MaxUint32

// ConnectExpiry returns for how many seconds the client wants its session to outlive
// the connection that p begins. 4,294,967,295 means forever. Before 5.0 it is that or
// 0.
func ConnectExpiry(p *wire.Connect) uint32 {
	switch {
	case p.Version == wire.V5:
		return p.SessionExpiryInterval
	case p.CleanStart:
		return 0
	}
	return forever
}
