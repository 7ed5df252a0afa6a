package conversation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// Obey answers all packets until no more come.
func Obey(conn *mqtttest.Conn) {
	for {
		p, ok := mqtttest.TakeWithin[wire.Packet](conn, 10*time.Second)
		if !ok {
			return
		}
		switch p := p.(type) {
		case *wire.Publish:
			if p.QoS == 1 {
				conn.Send(Puback(p.PacketID))
			} else if p.QoS == 2 {
				conn.Send(Pubrec(p.PacketID))
			}
		case *wire.Pubrel:
			conn.Send(Pubcomp(p.PacketID))
		case *wire.Subscribe:
			conn.Send(Suback(p))
		case *wire.Unsubscribe:
			conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
		case *wire.Disconnect:
			conn.Close()
			return
		}
	}
}

// Pub returns a PUBLISH with topic t.
func Pub(id uint16, qos wire.QoS, payload string) *wire.Publish {
	return &wire.Publish{Topic: "t", Payload: []byte(payload), PacketID: id, QoS: qos}
}

// Dup returns a repeat of Pub.
func Dup(id uint16, qos wire.QoS, payload string) *wire.Publish {
	p := Pub(id, qos, payload)
	p.Duplicate = true
	return p
}

// To sets the topic of p.
func To(topic string, p *wire.Publish) *wire.Publish {
	p.Topic = topic
	return p
}

// IDs sets the subscription identifiers of p.
func IDs(p *wire.Publish, ids ...uint32) *wire.Publish {
	p.Properties = &wire.PublishProperties{SubscriptionIDs: ids}
	return p
}

// Puback returns a PUBACK with success.
func Puback(id uint16) *wire.Puback { return &wire.Puback{PacketID: id} }

// Pubrec returns a PUBREC with success.
func Pubrec(id uint16) *wire.Pubrec { return &wire.Pubrec{PacketID: id} }

// Pubrel returns a PUBREL with success.
func Pubrel(id uint16) *wire.Pubrel { return &wire.Pubrel{PacketID: id} }

// Pubcomp returns a PUBCOMP with success.
func Pubcomp(id uint16) *wire.Pubcomp { return &wire.Pubcomp{PacketID: id} }

// Resumed returns the CONNACK of a server that still has the session.
func Resumed() *wire.Connack { return &wire.Connack{SessionPresent: true} }

// Encoded returns the bytes of packets in 5.0.
func Encoded(t *testing.T, packets ...wire.Packet) (b []byte) {
	for _, packet := range packets {
		var err error
		b, err = packet.Append(b, wire.V5)
		require.NoError(t, err)
	}
	return b
}
