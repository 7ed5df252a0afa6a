package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestAGateHoldsBackWhatIsBehindIt(t *testing.T) {
	now := time.Unix(1, 0)
	var link Link
	s := NewSender(&link, 0)
	last := uint64(GateOpen)
	s.SetGate(func() uint64 { return last })
	connect := func(resumed bool) {
		link = Link{}
		link.Open(wire.V5, NoLimits())
		s.Start(resumed, now)
	}
	submit := func(qos wire.QoS) *Outgoing {
		o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: qos}}
		s.Submit(o, now)
		return o
	}
	connect(false)
	first, second := submit(1), submit(2)
	require.True(t, first.Sent() && second.Sent())

	last = 0
	sent, err := s.SendAtMostOnce(&wire.Publish{Topic: "t"})
	require.NoError(t, err)
	require.False(t, sent)
	sent, err = s.SendEncoded([]byte{0x30, 3, 0, 1, 't'})
	require.NoError(t, err)
	require.False(t, sent)
	third, fourth := submit(0), submit(1)
	require.False(t, third.Sent() || fourth.Sent())
	require.Equal(t, []*Outgoing{third, fourth}, s.Withheld(nil, 0, 10), "what is sent is not held")
	require.Equal(t, []*Outgoing{fourth}, s.Withheld(nil, third.Seq(), 10))
	require.Equal(t, []*Outgoing{third}, s.Withheld(nil, 0, 1))

	// A repeat is held as well, but no PUBREL.
	require.NoError(t, s.Pubrec(&wire.Pubrec{PacketID: second.Publish.PacketID}))
	link.Take(nil)
	s.Stop(false)
	connect(true)
	require.Equal(t, []byte{0x62, 2, 0, 2}, link.Take(nil))
	require.Equal(t, []*Outgoing{first, third, fourth}, s.Withheld(nil, 0, 10))

	// One that is not to be sent again ends as if the peer had acknowledged it.
	require.NoError(t, s.Puback(&wire.Puback{PacketID: first.Publish.PacketID}))
	require.Equal(t, []*Outgoing{third, fourth}, s.Withheld(nil, 0, 10))
	last = third.Seq()
	s.Pump(now)
	require.True(t, third.Sent())
	require.False(t, fourth.Sent())
	last = GateOpen
	s.Pump(now)
	require.True(t, fourth.Sent())
}
