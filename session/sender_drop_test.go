package session

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// queueOf is a sender without a connection in which messages with payloads of these sizes
// wait, at QoS 1.
func queueOf(t *testing.T, sizes ...int) (s *Sender, all []*Outgoing) {
	t.Helper()
	s = NewClient(ClientSettings{}).Sender
	for _, size := range sizes {
		o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: make([]byte, size), QoS: 1}}
		s.Submit(o, time.Time{})
		all = append(all, o)
	}
	return s, all
}

func wantDropped(t *testing.T, s *Sender, want ...*Outgoing) {
	t.Helper()
	require.Equal(t, want, s.Completed(nil))
	for _, o := range want {
		require.ErrorIs(t, o.Result().Err, errFull)
		require.False(t, o.Sent())
	}
}

var errFull = errors.New("full")

func TestDropOldestTakesNoMoreThanIsNeeded(t *testing.T) {
	bytes := func(least int) func(int, int) bool {
		return func(messages, bytes int) bool { return messages > 0 && bytes >= least }
	}
	s, all := queueOf(t, 10, 600, 20, 300)
	require.Zero(t, s.DropOldest(true, bytes(1500), errFull), "all are not enough")
	require.Zero(t, s.DropOldest(false, bytes(1), errFull), "none of that class")
	require.Empty(t, s.Completed(nil))
	require.Equal(t, 1, s.DropOldest(true, bytes(1), errFull))
	wantDropped(t, s, all[0])
	require.Equal(t, 2, s.DropOldest(true, bytes(900), errFull), "the small one would be in vain")
	wantDropped(t, s, all[1], all[3])
	require.Equal(t, 1, s.DropOldest(true, bytes(0), errFull))
	wantDropped(t, s, all[2])
	messages, size := s.Queued()
	require.Zero(t, messages+size)
}

func TestDropOldestPassesOverWhatWasSent(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), &wire.Connack{})
	sent := s.publish("sent", 1)
	s.skip()
	s.lose()
	s.up(keeping(wire.V5), &wire.Connack{ReceiveMaximum: 1}) // the session is lost
	s.lose()
	s.c.Sender.Renew()
	waits := s.publish("waits", 1)
	one := func(messages, _ int) bool { return messages == 1 }
	require.Equal(t, 1, s.c.Sender.DropOldest(true, one, errFull))
	wantDropped(t, s.c.Sender, waits)
	require.Zero(t, s.c.Sender.DropOldest(true, one, errFull))
	require.True(t, sent.Queued())
}

func TestKeepLatestLooksAtTheWholeQueueOnce(t *testing.T) {
	s, all := queueOf(t, 1, 1, 1)
	other := &Outgoing{Publish: wire.Publish{Topic: "u", QoS: 1}}
	s.Submit(other, time.Time{})
	fits := func(most int) func(int, int) bool {
		return func(messages, _ int) bool { return s.queue.len-messages < most }
	}
	dropped, ok := s.KeepLatest(true, "u", fits(5), errFull)
	require.Zero(t, dropped)
	require.True(t, ok, "there is space")
	dropped, ok = s.KeepLatest(true, "v", fits(2), errFull)
	require.Zero(t, dropped)
	require.False(t, ok, "two topics wait already")

	dropped, ok = s.KeepLatest(true, "v", fits(3), errFull)
	require.True(t, ok)
	require.Equal(t, 2, dropped)
	wantDropped(t, s, all[:2]...)
	third := &Outgoing{Publish: wire.Publish{Topic: "v", QoS: 1}}
	s.Submit(third, time.Time{})
	require.NoError(t, senderInvariants(s))

	dropped, ok = s.KeepLatest(true, "u", fits(10), errFull)
	require.True(t, ok)
	require.Equal(t, 1, dropped, "although there is space")
	wantDropped(t, s, other)

	// A message that comes without being announced ends it.
	s.Submit(&Outgoing{Publish: wire.Publish{Topic: "v", QoS: 1}}, time.Time{})
	require.NoError(t, senderInvariants(s))
	dropped, ok = s.KeepLatest(true, "v", fits(10), errFull)
	require.True(t, ok)
	require.Zero(t, dropped)
}
