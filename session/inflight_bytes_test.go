package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestWhatIsInFlightIsBoundedInBytes(t *testing.T) {
	link := &Link{}
	s := NewSender(link, 100)
	s.quota.maxBytes = 1000
	link.Open(wire.V5, NoLimits())
	s.Start(false, time.Now())
	sizes := []int{400, 599, 1, 5000, 10}
	for _, n := range sizes {
		s.Submit(&Outgoing{Publish: wire.Publish{Topic: "t", Payload: make([]byte, n-1), QoS: 1}}, time.Time{})
		require.NoError(t, senderInvariants(s))
	}
	require.Equal(t, 3, s.Inflight())
	acknowledge := func(id uint16) {
		t.Helper()
		link.Take(nil)
		require.NoError(t, s.Puback(&wire.Puback{PacketID: id}))
		s.Pump(time.Time{})
		require.NoError(t, senderInvariants(s))
	}
	acknowledge(1)
	acknowledge(2)
	require.Equal(t, 1, s.Inflight(), "the large one waits until it would be alone")
	acknowledge(3)
	require.Equal(t, 1, s.Inflight())
	messages, bytes := s.Queued()
	require.Equal(t, []int{1, 10}, []int{messages, bytes})
	link.Shut()
	s.Stop(false)
	link.Open(wire.V5, NoLimits())
	s.Start(true, time.Now())
	require.NoError(t, senderInvariants(s))
	require.Equal(t, 1, s.Inflight())
	acknowledge(s.published.head.Publish.PacketID)
	require.Equal(t, 1, s.Inflight())
	require.Equal(t, 10, s.quota.bytes)
}
