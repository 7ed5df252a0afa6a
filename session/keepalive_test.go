package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// aliveScript returns a script with a keep-alive of 10 s, which pings after 9.
func aliveScript(t *testing.T, v wire.Version) *script {
	t.Helper()
	p := keeping(v)
	p.KeepAlive = 10
	s := newScript(t, v, ClientSettings{PingTimeout: 4 * time.Second})
	s.up(p, &wire.Connack{})
	return s
}

// pass lets time pass in which the connection must not end.
func (s *script) pass(d time.Duration) {
	s.t.Helper()
	require.NoError(s.t, s.advance(d))
}

func TestIdleConnectionIsKeptAlive(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := aliveScript(t, v)
		for range 5 {
			s.pass(8900 * time.Millisecond)
			s.wantIdle()
			s.pass(100 * time.Millisecond)
			s.wantBytes("c0 00")
			s.pass(time.Second)
			s.send(&wire.Pingresp{})
			s.now = s.now.Add(-time.Second) // the next gap counts from the PINGREQ
		}
		s.send(&wire.Pingresp{}, &wire.Pingresp{}) // unasked
		s.wantIdle()
	})
}

func TestKeepAliveOff(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{PingTimeout: time.Second})
	s.up(keeping(wire.V5), &wire.Connack{})
	require.Zero(t, s.c.Deadline())
	require.NoError(t, s.c.Tick(s.now.Add(24*time.Hour)))
	s.wantIdle()
}

func TestServerKeepAliveReplacesOurs(t *testing.T) {
	p := keeping(wire.V5)
	p.KeepAlive = 60
	s := newScript(t, wire.V5, ClientSettings{})
	for _, test := range []struct {
		server *uint16
		want   time.Duration
	}{
		{new(uint16(1)), 900 * time.Millisecond}, {new(uint16(600)), 540 * time.Second}, {nil, 54 * time.Second},
	} {
		s.up(p, &wire.Connack{ServerKeepAlive: test.server})
		require.Equal(t, s.now.Add(test.want), s.c.Deadline())
		s.lose()
		require.Zero(t, s.c.Deadline())
	}
	s.up(p, &wire.Connack{ServerKeepAlive: new(uint16(0))})
	require.Zero(t, s.c.Deadline())
}

func TestFloodFromTheServerDoesNotReplaceOurPings(t *testing.T) {
	s := aliveScript(t, wire.V5)
	for range 8 {
		s.pass(time.Second)
		s.send(pub(0, 0, "flood"))
		s.wantIdle()
	}
	s.pass(time.Second)
	s.want(&wire.Pingreq{})
	s.send(pub(0, 0, "flood")) // proof of life as good as PINGRESP
	s.pass(5 * time.Second)
	s.wantIdle()
}

func TestOurTrafficProvesNothing(t *testing.T) {
	s := aliveScript(t, wire.V5)
	for range 8 {
		s.pass(time.Second)
		s.publish("x", wire.AtMostOnce)
		s.want(pub(0, 0, "x"))
	}
	s.pass(time.Second) // nothing was heard for nine seconds
	s.want(&wire.Pingreq{})
	for range 3 {
		s.pass(time.Second)
		s.publish("x", wire.AtMostOnce)
		s.want(pub(0, 0, "x"))
	}
	require.ErrorIs(t, s.advance(time.Second), ErrKeepAlive)
}

func TestPublishingWithAnswersNeedsNoPing(t *testing.T) {
	s := aliveScript(t, wire.V5)
	for range 60 {
		id := s.publish("x", wire.AtLeastOnce).Publish.PacketID
		s.want(pub(id, 1, "x"))
		s.send(puback(id))
		s.pass(time.Second)
	}
	s.wantIdle()
}

func TestMissingPingrespEndsTheConnection(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := aliveScript(t, v)
		o := s.publish("x", wire.AtLeastOnce)
		s.skip()
		s.pass(9 * time.Second)
		s.want(&wire.Pingreq{})
		s.pass(3900 * time.Millisecond)
		require.True(t, s.c.Connected())
		require.ErrorIs(t, s.advance(100*time.Millisecond), ErrKeepAlive)
		require.False(t, s.c.Connected())
		require.Zero(t, s.c.Deadline())
		s.publish("y", wire.AtMostOnce)
		s.wantIdle() // it is over: nothing more goes out, no DISCONNECT either
		s.lose()
		s.up(keeping(v), &wire.Connack{SessionPresent: v != wire.V31})
		s.want(dup(1, 1, "x"))
		s.send(puback(1))
		require.True(t, o.Sent())
	})
}

func TestPartOfAPacketIsProofOfLife(t *testing.T) {
	s := aliveScript(t, wire.V5)
	s.pass(9 * time.Second)
	s.want(&wire.Pingreq{})
	s.pass(3 * time.Second)
	s.c.Alive(s.now) // bytes of a large message
	s.pass(3 * time.Second)
	s.wantIdle()
	require.True(t, s.c.Connected())
}

func TestLatePingrespOfAnEarlierInstantDoesNotCount(t *testing.T) {
	s := aliveScript(t, wire.V5)
	before := s.now
	s.pass(9 * time.Second)
	s.want(&wire.Pingreq{})
	s.c.Alive(before) // read before the PINGREQ was written
	require.ErrorIs(t, s.advance(4*time.Second), ErrKeepAlive)
}

// A PINGREQ that waits behind a slow write is not on its way yet: the time for
// its answer counts from the end of its own write.
func TestSlowWriteWhilePingIsQueued(t *testing.T) {
	s := aliveScript(t, wire.V5)
	s.publish("large", wire.AtMostOnce)
	slow := s.c.Take(nil, s.now) // the writer is busy with it from here on
	require.NotEmpty(t, slow)
	require.NoError(t, s.advance(9*time.Second))
	require.NotZero(t, s.c.Pending(), "PINGREQ waits")
	s.pass(20 * time.Second)
	s.c.Wrote(s.now) // the large message is out, PINGREQ is not
	ping := s.c.Take(nil, s.now)
	require.Equal(t, []byte{0xC0, 0}, ping)
	s.pass(20 * time.Second) // that bytes get out is the writer's concern
	s.c.Wrote(s.now)
	require.Equal(t, s.now.Add(4*time.Second), s.c.Deadline())
	s.pass(3 * time.Second)
	s.send(&wire.Pingresp{})
	s.pass(5 * time.Second)
	s.wantIdle()
}

func TestAnswerDuringTheWriteOfThePing(t *testing.T) {
	s := aliveScript(t, wire.V5)
	require.NoError(t, s.advance(9*time.Second))
	ping := s.c.Take(nil, s.now)
	require.Equal(t, []byte{0xC0, 0}, ping)
	s.send(&wire.Pingresp{}) // read before the writer came to say that it was done
	s.c.Wrote(s.now)
	s.pass(8 * time.Second)
	require.True(t, s.c.Connected())
	s.wantIdle()
}

func TestPingTimeoutNeverExceedsTheKeepAlive(t *testing.T) {
	for _, test := range []struct{ interval, timeout, want time.Duration }{
		{10 * time.Second, 0, 5 * time.Second},
		{10 * time.Second, 3 * time.Second, 3 * time.Second},
		{10 * time.Second, 10 * time.Second, 10 * time.Second},
		{10 * time.Second, time.Minute, 10 * time.Second},
	} {
		require.Equal(t, test.want, newKeepAlive(test.interval, test.timeout, time.Time{}).timeout)
	}
}
