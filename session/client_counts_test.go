package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestRoundTripsOfOneMessageAtATime(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.publish("at most once", 0)
	s.publish("1", 1)
	s.now = s.now.Add(time.Hour) // nobody writes
	s.publish("2", 2)
	s.skip()
	s.pass(30 * time.Millisecond)
	s.send(pubrec(2)) // not the one that is measured
	s.pass(30 * time.Millisecond)
	s.send(puback(1))
	id := s.publish("3", 2).Publish.PacketID
	s.skip()
	s.pass(time.Millisecond)
	s.send(pubrec(id))
	s.skip()
	s.pass(time.Hour)
	s.send(pubcomp(id), pubcomp(2))
	r := s.c.Counts().Publish
	require.Equal(t, []time.Duration{61 * time.Millisecond, time.Millisecond, time.Millisecond, 60 * time.Millisecond}, []time.Duration{r.Sum, r.Last, r.Min, r.Max})
	require.Equal(t, uint64(2), r.Count)
	for _, b := range r.Buckets {
		want := uint64(0)
		if b.AtMost >= time.Millisecond {
			want++
		}
		if b.AtMost >= 60*time.Millisecond {
			want++
		}
		require.Equal(t, want, b.Count, "at most %v", b.AtMost)
	}
}

func TestNoRoundTripSpansConnections(t *testing.T) {
	s := retryScript(t)
	s.publish("1", 1)
	s.skip()
	s.pass(time.Hour)
	s.resume()
	s.skip() // the repeat is measured
	s.pass(time.Second)
	s.send(refusal(1))
	require.Equal(t, time.Second, s.c.Counts().Publish.Max)
	s.pass(time.Second) // it goes again
	s.skip()
	s.c.Sender.Fail(ErrConnectionLost)
	require.Equal(t, uint64(1), s.c.Counts().Publish.Count)
	require.Nil(t, s.c.Sender.counts.sample.message)
}

func TestRoundTripBeyondAllBounds(t *testing.T) {
	var r, sum *roundTrips
	r = r.note(time.Hour)
	require.Equal(t, uint64(1), r.show().Count)
	require.Zero(t, r.show().Buckets[len(roundTripBounds)-1].Count)
	all := sum.show()
	all.Add(RoundTrips{})
	require.Equal(t, RoundTrips{}, all)
	all.Add(r.show())
	require.Equal(t, r.show(), all)
	r = r.note(time.Nanosecond)
	all.Add(r.show())
	require.Equal(t, uint64(3), all.Count)
	require.Equal(t, 2*time.Hour+1, all.Sum)
	require.Equal(t, []time.Duration{1, 1, time.Hour}, []time.Duration{all.Last, all.Min, all.Max})
	require.Equal(t, uint64(1), all.Buckets[0].Count)
	require.Equal(t, uint64(1), r.show().Buckets[0].Count, "it is a copy")
	for i := 1; i < len(roundTripBounds); i++ {
		require.Greater(t, roundTripBounds[i], roundTripBounds[i-1])
	}
}

func TestPacketsAreCountedOverConnections(t *testing.T) {
	s := connectedScript(t, wire.V5) // CONNECT and CONNACK
	sent, received := uint64(1), uint64(1)
	want := func(moreSent, moreReceived uint64) {
		t.Helper()
		sent, received = sent+moreSent, received+moreReceived
		c := s.c.Counts()
		require.Equal(t, []uint64{sent, received}, []uint64{c.PacketsSent, c.PacketsReceived})
	}
	want(0, 0)
	s.publish("0", 0)
	s.publish("1", 1)
	s.publish("2", 2)
	want(3, 0)
	s.send(puback(1), pubrec(2))
	want(1, 2)
	s.send(pubcomp(2), pub(0, 0, "x"), pub(7, 1, "y"), pub(8, 2, "z"))
	s.ack(s.wantMessages("x", "y", "z")...)
	want(2, 4)
	s.send(pubrel(8))
	want(1, 1)
	s.request(subscribe("a"))
	s.ping()
	want(2, 0)
	s.resume()
	want(1, 1)
	sentDirect, err := s.c.Sender.SendAtMostOnce(pub(0, 0, "direct"))
	require.NoError(t, err)
	require.True(t, sentDirect)
	want(1, 0)
	s.publish(string(make([]byte, streamed)), 1)
	want(1, 0)
	require.NoError(t, s.c.Disconnect(&wire.Disconnect{}))
	want(1, 0)
}

func TestRepeatsAndDuplicatesAreCounted(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.publish("1", 1)
		s.publish("2", 2)
		s.skip()
		s.send(pubrec(2), pub(7, 2, "x"))
		s.skip()
		require.Zero(t, s.c.Counts().Repeated)
		s.ack(s.wantMessages("x")...)
		s.skip()
		s.resume()
		s.skip()
		require.Equal(t, uint64(1), s.c.Counts().Repeated, "PUBREL is none")
		s.send(dup(7, 2, "x"))
		s.wantMessages()
		require.Equal(t, uint64(1), s.c.Counts().Duplicates)
		s.renew()
		s.skip()
		want := uint64(3) // both
		if v == wire.V31 {
			want = 2 // it has no way to say that the session is lost
		}
		require.Equal(t, want, s.c.Counts().Repeated)
		require.Zero(t, s.c.Counts().Retried)
	})
}

func TestRefusalsThatAreTriedAgainAreCounted(t *testing.T) {
	s := retryScript(t)
	s.publish("1", 1)
	s.skip()
	s.send(refusal(1))
	s.pass(time.Second)
	s.skip()
	require.Equal(t, uint64(1), s.c.Counts().Retried)
	require.Zero(t, s.c.Counts().Repeated, "the server did not have it")
}
