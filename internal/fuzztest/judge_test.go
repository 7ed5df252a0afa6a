package fuzztest

import (
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// judge knows what the client may send on one connection. It knows the packets of the
// server only by their structure: what it cannot be sure of, it allows.
type judge struct {
	failf func(format string, args ...any)
	in    wire.Decoder // of what the client sends

	connect      *wire.Connect
	connack      *wire.Connack // what has accepted; nil if it could not be read
	answered     bool          // with some CONNACK
	disconnected bool
	auths        int // of the server, that the client may answer
	exchanges
}

func (j *judge) begin(failf func(string, ...any)) {
	j.failf = failf
	j.in = wire.Decoder{From: wire.FromClient}
	j.exchanges.begin(failf, "the client")
}

// got judges a packet of the client, and returns it.
func (j *judge) got(f Frame, s *server) wire.Packet {
	packet, err := j.in.Decode(f.Header, append([]byte(nil), f.Body...))
	if err != nil {
		j.failf("the client sent a %v that cannot be decoded: %v: %x", f.Type, err, f.Body)
		return nil
	}
	if _, first := packet.(*wire.Connect); first != (j.connect == nil) || j.disconnected {
		j.failf("the client sent %v out of turn", f.Type)
	}
	if most := j.limits().MaximumPacketSize; most > 0 && f.Size > int(most) {
		j.failf("the client sent %d bytes of %v, the server takes %d", f.Size, f.Type, most)
	}
	j.order(f.Type)
	j.received(f)
	switch p := packet.(type) {
	case *wire.Connect:
		j.connect = p
	case *wire.Publish:
		j.publish(p, s)
	case *wire.Subscribe:
		j.subscribe(p)
	case *wire.Disconnect:
		j.disconnected = true
	case *wire.Auth:
		j.auth(p)
	}
	return packet
}

// limits returns what the server has allowed, as far as that is known.
func (j *judge) limits() *wire.Connack {
	if j.connack == nil {
		return new(wire.Connack)
	}
	return j.connack
}

// order judges what comes before CONNACK.
func (j *judge) order(t wire.PacketType) {
	if j.connect == nil || j.answered || t == wire.TypeAuth || t == wire.TypeDisconnect {
		return
	}
	j.failf("the client sent %v before CONNACK", t)
}

func (j *judge) auth(p *wire.Auth) {
	switch {
	case j.connect.AuthenticationMethod == "" || p.AuthenticationMethod != j.connect.AuthenticationMethod:
		j.failf("the client sent AUTH of method %q after CONNECT of %q", p.AuthenticationMethod, j.connect.AuthenticationMethod)
	case p.ReasonCode == wire.Reauthenticate:
	case j.auths == 0:
		j.failf("the client sent AUTH without being asked")
	default:
		j.auths--
	}
}

func (j *judge) publish(p *wire.Publish, s *server) {
	limits := j.limits()
	if q := limits.MaximumQoS; q != nil && p.QoS > *q {
		j.failf("the client sent QoS %d, the server takes %d", p.QoS, *q)
	}
	if r := limits.RetainAvailable; r != nil && !*r && p.Retain {
		j.failf("the client sent a retained message, the server has none")
	}
	most := -1
	if j.connack != nil {
		most = int(limits.TopicAliasMaximum)
	}
	j.alias(p, most)
	m := s.published[string(p.Payload)]
	if m == nil {
		j.failf("the client sent a message that nobody has published: %q %.40q", p.Topic, p.Payload)
		return
	}
	if p.Topic != "" && p.Topic != m.topic {
		j.failf("the client sent to %q what was for %q", p.Topic, m.topic)
	}
	if p.QoS > 0 {
		m.ids = append(m.ids, p.PacketID)
		j.quota(int(limits.ReceiveMaximum))
	}
}

func (j *judge) subscribe(p *wire.Subscribe) {
	no := func(available *bool) bool { return available != nil && !*available }
	limits := j.limits()
	if no(limits.SubscriptionIDAvailable) && p.SubscriptionID > 0 {
		j.failf("the client sent a subscription identifier, the server has none")
	}
	for _, f := range p.Filters {
		shared := strings.HasPrefix(f.Filter, "$share/")
		if no(limits.SharedSubscriptionAvailable) && shared {
			j.failf("the client asked for %q, the server does not share", f.Filter)
		}
		if no(limits.WildcardSubscriptionAvailable) && strings.ContainsAny(f.Filter, "+#") {
			j.failf("the client asked for %q, the server has no wildcards", f.Filter)
		}
		if shared && f.NoLocal {
			j.failf("the client asked for %q without its own messages", f.Filter)
		}
	}
}

// sent notes a packet of the server.
func (j *judge) sent(f Frame, s *server) {
	j.exchanges.sent(f)
	switch f.Type {
	case wire.TypeConnack:
		j.welcomed(f)
	case wire.TypePuback, wire.TypePubcomp:
		if !failed(f) || f.Type == wire.TypePubcomp {
			s.acks[f.PacketID()]++
		}
	case wire.TypeAuth:
		j.auths++
	}
}

// welcomed notes the limits of the first CONNACK.
func (j *judge) welcomed(f Frame) {
	if j.answered {
		return
	}
	j.answered = true
	d := wire.Decoder{Version: j.in.Version, Tolerate: func(*wire.Error) {}}
	if p, err := d.Decode(f.Header, append([]byte(nil), f.Body...)); err == nil && p.(*wire.Connack).ReasonCode == wire.Success {
		j.connack = p.(*wire.Connack)
	}
}
