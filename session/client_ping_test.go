package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// pong is the end of a ping.
type pong struct {
	*Ping
	trip time.Duration
	err  error
	ends int
}

func (s *script) ping() *pong {
	s.t.Helper()
	p := new(pong)
	p.Ping = &Ping{Done: func(trip time.Duration, err error) { p.trip, p.err, p.ends = trip, err, p.ends+1 }}
	require.NoError(s.t, s.c.Ping(p.Ping, s.now))
	s.check()
	return p
}

// wantTrips expects these pings to have ended with a round trip of d.
func (s *script) wantTrips(d time.Duration, pings ...*pong) {
	s.t.Helper()
	for i, p := range pings {
		require.Equal(s.t, pong{p.Ping, d, nil, 1}, *p, "ping %d", i)
	}
}

func TestPingMeasuresFromTheWriteToTheAnswer(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v) // without keep-alive
		p := s.ping()
		s.now = s.now.Add(time.Second) // it waits for the writer
		s.want(&wire.Pingreq{})
		s.pass(30 * time.Millisecond)
		s.send(pub(0, 0, "no answer"))
		require.Zero(t, p.ends)
		s.send(&wire.Pingresp{}, &wire.Pingresp{})
		s.wantTrips(30*time.Millisecond, p)
		require.Equal(t, uint64(1), s.c.Counts().Ping.Count)
		require.Equal(t, 30*time.Millisecond, s.c.Counts().Ping.Last)
		s.wantIdle()
		require.Zero(t, s.c.Deadline())
	})
}

func TestPingsShareWhatIsNotWrittenYet(t *testing.T) {
	s := aliveScript(t, wire.V5)
	one, two := s.ping(), s.ping()
	s.want(&wire.Pingreq{})
	s.wantIdle()
	late, later := s.ping(), s.ping() // the answer under way may have begun before they asked
	s.wantIdle()
	s.pass(time.Second)
	s.send(&wire.Pingresp{})
	s.wantTrips(time.Second, one, two)
	require.Zero(t, late.ends)
	s.want(&wire.Pingreq{})
	s.wantIdle()
	s.pass(2 * time.Second)
	s.send(&wire.Pingresp{})
	s.wantTrips(2*time.Second, late, later)
	s.wantIdle()
}

func TestPingSharesThatOfKeepAlive(t *testing.T) {
	s := aliveScript(t, wire.V5)
	s.pass(9 * time.Second)
	require.NotZero(t, s.c.Pending(), "PINGREQ is queued")
	queued := s.ping()
	s.want(&wire.Pingreq{})
	s.wantIdle()
	under := s.ping()
	s.pass(time.Second)
	s.send(&wire.Pingresp{})
	s.wantTrips(time.Second, queued)
	s.want(&wire.Pingreq{})
	s.pass(2 * time.Second)
	s.send(&wire.Pingresp{})
	s.wantTrips(2*time.Second, under)
	require.Equal(t, uint64(2), s.c.Counts().Ping.Count)
}

func TestPingThatNothingFollowsEndsTheConnection(t *testing.T) {
	s := aliveScript(t, wire.V5)
	p := s.ping()
	s.want(&wire.Pingreq{})
	require.ErrorIs(t, s.advance(4*time.Second), ErrKeepAlive)
	require.Zero(t, p.ends)
	s.lose()
	require.ErrorIs(t, p.err, ErrConnectionLost)
	require.Equal(t, 1, p.ends)
}

func TestPingIsNotHeldUpByAnAnswerThatNeverComes(t *testing.T) {
	s := aliveScript(t, wire.V5)
	lost := s.ping()
	s.want(&wire.Pingreq{})
	s.pass(time.Second)
	s.send(pub(0, 0, "a sign of life"))
	next := s.ping()
	s.pass(2900 * time.Millisecond)
	s.wantIdle()
	s.pass(100 * time.Millisecond)
	s.want(&wire.Pingreq{})
	s.pass(time.Second)
	s.send(&wire.Pingresp{})
	s.wantTrips(time.Second, lost, next)
}

// Between the moment at which a PINGREQ may go and its write there is nothing to wake for.
func TestPingThatWaitsForTheWriterIsNoReasonToWakeUp(t *testing.T) {
	s := aliveScript(t, wire.V5)
	s.ping()
	s.want(&wire.Pingreq{})
	s.send(pub(0, 0, "a sign of life"))
	s.ping()
	s.pass(4 * time.Second)
	require.NotZero(t, s.c.Pending())
	require.True(t, s.c.Deadline().After(s.now))
}

func TestPingThatIsForgotten(t *testing.T) {
	s := connectedScript(t, wire.V311)
	first, second, waits := s.ping(), s.ping(), (*pong)(nil)
	s.c.ForgetPing(first.Ping)
	s.want(&wire.Pingreq{})
	waits = s.ping()
	s.c.ForgetPing(second.Ping)
	s.c.ForgetPing(waits.Ping)
	s.send(&wire.Pingresp{})
	s.wantIdle()
	require.Zero(t, first.ends+second.ends+waits.ends)
	s.wantTrips(0, func() *pong {
		p := s.ping()
		s.want(&wire.Pingreq{})
		s.send(&wire.Pingresp{})
		return p
	}())
}

func TestPingNeedsAConnection(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	require.ErrorIs(t, s.c.Ping(&Ping{}, s.now), ErrNotConnected)
	s.dial(keeping(wire.V5))
	require.ErrorIs(t, s.c.Ping(&Ping{}, s.now), ErrNotConnected)
	s.send(&wire.Connack{})
	p, taken := s.ping(), s.ping()
	s.want(&wire.Pingreq{})
	require.NoError(t, s.c.Disconnect(&wire.Disconnect{}))
	require.ErrorIs(t, s.c.Ping(&Ping{}, s.now), ErrNotConnected)
	s.lose()
	for _, p := range []*pong{p, taken} {
		require.ErrorIs(t, p.err, ErrConnectionLost)
		require.Equal(t, 1, p.ends)
	}
	s.up(keeping(wire.V5), &wire.Connack{})
	s.send(&wire.Pingresp{}) // nobody asked for it here
	s.wantIdle()
}
