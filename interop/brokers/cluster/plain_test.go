package cluster

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// plain is a client of 3.1.1 that sends packets as they are given. What it shows of the
// cluster owes nothing to ours.
type plain struct {
	t       *testing.T
	nc      net.Conn
	reader  *wire.Reader
	decoder wire.Decoder
}

// dial connects to a node and returns whether it has the session. The keep-alive is off.
func (n *node) dial(t *testing.T, id string) (*plain, bool) {
	t.Helper()
	nc, err := net.Dial("tcp", n.address())
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	p := &plain{t, nc, wire.NewReader(nc, wire.V311, 1<<20), wire.Decoder{Version: wire.V311, From: wire.FromServer}}
	p.send(&wire.Connect{Version: wire.V311, ClientID: id})
	answer := take[*wire.Connack](p)
	require.Equal(t, wire.Success, answer.ReasonCode)
	return p, answer.SessionPresent
}

func (p *plain) send(packet interface {
	Append([]byte, wire.Version) ([]byte, error)
}) {
	p.t.Helper()
	b, err := packet.Append(nil, wire.V311)
	require.NoError(p.t, err)
	_, err = p.nc.Write(b)
	require.NoError(p.t, err)
}

// next returns the next packet, or an error at the end of the connection.
func (p *plain) next() (wire.Packet, error) {
	h, body, err := p.reader.ReadPacket()
	if err != nil {
		return nil, err
	}
	return p.decoder.Decode(h, append([]byte(nil), body...))
}

// take wants a packet of this type next.
func take[P wire.Packet](p *plain) P {
	p.t.Helper()
	packet, err := p.next()
	require.NoError(p.t, err)
	require.IsType(p.t, *new(P), packet)
	return packet.(P)
}

// subscribe wants the filter to be taken.
func (p *plain) subscribe(filter string, qos wire.QoS) {
	p.t.Helper()
	p.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: filter, QoS: qos}}})
	answer := take[*wire.Suback](p)
	require.Equal(p.t, []wire.ReasonCode{wire.ReasonCode(qos)}, answer.ReasonCodes)
}

// publish wants the message to be taken.
func (p *plain) publish(topic, payload string, id uint16) {
	p.t.Helper()
	p.send(&wire.Publish{Topic: topic, Payload: []byte(payload), QoS: wire.AtLeastOnce, PacketID: id})
	require.Equal(p.t, id, take[*wire.Puback](p).PacketID)
}
