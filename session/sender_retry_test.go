package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// quotaRetry tries again what exceeds a quota, after as many seconds as there were refusals.
func quotaRetry(_ *Outgoing, code wire.ReasonCode, refused int) (time.Duration, bool) {
	return time.Duration(1+refused) * time.Second, code == wire.QuotaExceeded
}

func refusal(id uint16) *wire.Puback {
	return &wire.Puback{PacketID: id, ReasonCode: wire.QuotaExceeded}
}

func retryScript(t *testing.T) *script {
	t.Helper()
	s := newScript(t, wire.V5, ClientSettings{Retry: quotaRetry})
	s.up(keeping(wire.V5), &wire.Connack{})
	return s
}

func on(topic string, p *wire.Publish) *wire.Publish {
	p.Topic = topic
	return p
}

func some(messages, _ int) bool { return messages > 0 }

func (s *script) publishOn(topic, text string, qos wire.QoS) *Outgoing {
	s.t.Helper()
	o := &Outgoing{Publish: wire.Publish{Topic: topic, Payload: []byte(text), QoS: qos}}
	s.submit(o)
	return o
}

func TestARefusedMessageWaitsAndGoesFirstInItsTopic(t *testing.T) {
	s := retryScript(t)
	first := s.publish("1", 1)
	s.want(pub(1, 1, "1"))
	s.send(refusal(1))
	require.True(t, first.Queued())
	require.False(t, first.Sent(), "the server does not have it")
	later, other := s.publish("2", 2), s.publishOn("u", "other", 1)
	atMostOnce := s.publish("3", 0)
	s.want(on("u", pub(2, 1, "other")))
	s.wantIdle()
	s.send(puback(2))
	s.wantCompleted(other)

	require.Equal(t, s.now.Add(time.Second), s.c.Sender.Deadline())
	require.NoError(t, s.advance(time.Second-1))
	s.wantIdle()
	require.NoError(t, s.advance(1))
	s.want(pub(3, 1, "1"))
	s.wantIdle()
	s.send(refusal(3))
	require.NoError(t, s.advance(2*time.Second-1))
	s.wantIdle()
	require.NoError(t, s.advance(1))
	s.want(pub(4, 1, "1"))
	s.send(puback(4))
	s.wantCompleted(first, atMostOnce)
	s.want(pub(5, 2, "2"), pub(0, 0, "3"))
	s.send(pubrec(5))
	s.want(pubrel(5))
	s.send(pubcomp(5))
	s.wantCompleted(later)
	require.Zero(t, s.c.Sender.Deadline())
	require.False(t, s.c.Sender.Holding())
}

func TestRefusedMessagesGoOneByOne(t *testing.T) {
	s := retryScript(t)
	all := []*Outgoing{s.publish("1", 1), s.publish("2", 2), s.publish("3", 1), s.publish("4", 1)}
	s.want(pub(1, 1, "1"), pub(2, 2, "2"), pub(3, 1, "3"), pub(4, 1, "4"))
	s.send(refusal(1), &wire.Pubrec{PacketID: 2, ReasonCode: wire.QuotaExceeded}, refusal(3))
	require.NoError(t, s.advance(time.Hour))
	s.wantIdle() // the fourth is under way
	s.send(puback(4))
	s.want(pub(5, 1, "1"))
	s.wantIdle()
	s.send(puback(5))
	s.want(pub(6, 2, "2"))
	s.wantIdle()
	s.send(pubrec(6))
	s.want(pubrel(6))
	s.wantIdle()
	s.send(pubcomp(6))
	s.want(pub(7, 1, "3"))
	s.send(puback(7))
	s.wantCompleted(all[3], all[0], all[1], all[2])
}

func TestARefusalForGoodLetsTheNextGo(t *testing.T) {
	s := retryScript(t)
	first, second := s.publish("1", 1), s.publish("2", 1)
	s.want(pub(1, 1, "1"), pub(2, 1, "2"))
	s.send(refusal(1), refusal(2))
	require.NoError(t, s.advance(time.Second))
	s.want(pub(3, 1, "1"))
	s.send(&wire.Puback{PacketID: 3, ReasonCode: wire.NotAuthorized})
	s.wantCompleted(first)
	require.ErrorIs(t, first.Result().Err, wire.NotAuthorized)
	s.want(pub(4, 1, "2"))
	s.send(puback(4))
	s.wantCompleted(second)
	require.NoError(t, second.Result().Err)
}

func TestWithoutRetryARefusalIsTheEnd(t *testing.T) {
	s := connectedScript(t, wire.V5)
	o := s.publish("1", 1)
	s.skip()
	s.send(refusal(1))
	s.wantCompleted(o)
	require.ErrorIs(t, o.Result().Err, wire.QuotaExceeded)
}

func TestARefusedMessageGoesBeforeTheRepeatsOfItsTopic(t *testing.T) {
	s := retryScript(t)
	first, other, later := s.publish("1", 1), s.publishOn("u", "other", 1), s.publish("2", 2)
	s.want(pub(1, 1, "1"), on("u", pub(2, 1, "other")), pub(3, 2, "2"))
	s.send(refusal(1))
	s.publish("3", 1)
	s.resume()
	s.want(on("u", dup(2, 1, "other")), pub(4, 1, "1"), dup(3, 2, "2"))
	s.wantIdle() // the last is new
	s.resume()
	s.want(on("u", dup(2, 1, "other")), dup(4, 1, "1"), dup(3, 2, "2"))
	s.send(puback(2), puback(4))
	s.want(pub(5, 1, "3"))
	s.send(pubrec(3))
	s.want(pubrel(3))
	s.send(pubcomp(3))
	s.wantCompleted(other, first, later)
}

func TestALostSessionKeepsTheOrderOfRefusedMessages(t *testing.T) {
	s := retryScript(t)
	s.publish("0", 1)
	s.publish("1", 1)
	s.publish("2", 1)
	s.want(pub(1, 1, "0"), pub(2, 1, "1"), pub(3, 1, "2"))
	s.send(refusal(2))
	s.renew()
	s.want(pub(4, 1, "0"))
	s.wantIdle()
	s.send(puback(4))
	require.NoError(t, s.advance(time.Second))
	s.want(pub(5, 1, "1"))
	s.wantIdle()
	s.send(puback(5))
	s.want(pub(6, 1, "2"))
}

func TestARefusedMessageThatMayHaveArrivedBeforeCountsAsSent(t *testing.T) {
	s := retryScript(t)
	o := s.publish("1", 1)
	s.skip()
	s.resume()
	s.want(dup(1, 1, "1"))
	s.send(refusal(1))
	require.True(t, o.Sent(), "the first copy may have been accepted")
	require.NoError(t, s.advance(time.Second))
	s.want(pub(2, 1, "1"))
	s.send(refusal(2))
	require.True(t, o.Sent())
	require.Zero(t, s.c.Sender.DropOldest(true, some, ErrExpired))
}

func TestARefusedMessageExpires(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Retry: quotaRetry, RetryFor: 10 * time.Second})
	s.up(keeping(wire.V5), &wire.Connack{})
	o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1}, Expires: new(s.now.Add(time.Second / 2))}
	s.submit(o)
	bounded, behind := s.publish("bounded", 1), s.publishOn("t", "behind", 1)
	s.skip()
	s.send(refusal(1), refusal(2), puback(3))
	s.wantCompleted(behind)
	require.NoError(t, s.advance(time.Second/2))
	s.wantCompleted(o)
	require.ErrorIs(t, o.Result().Err, ErrExpired)
	require.ErrorIs(t, o.Result().Err, wire.QuotaExceeded, "and the reason")
	require.False(t, o.Sent())
	id := uint16(4)
	for ; len(s.c.Sender.completed) == 0; id++ { // it waits at most ten seconds in all
		require.NoError(t, s.advance(time.Second/2))
		if s.skip(); s.c.Sender.Inflight() > 0 {
			s.send(refusal(id))
		} else {
			id--
		}
	}
	require.Equal(t, uint16(4+3), id, "it was sent again after 1, 3 and 6 seconds")
	s.wantCompleted(bounded)
	require.ErrorIs(t, bounded.Result().Err, ErrExpired)
	require.False(t, s.c.Sender.Holding())
}

func TestWhatHeldATopicMayBeDropped(t *testing.T) {
	s := retryScript(t)
	first := s.publish("1", 1)
	s.skip()
	s.send(refusal(1))
	second := s.publish("2", 1)
	require.Equal(t, 1, s.c.Sender.DropOldest(true, some, ErrExpired))
	s.wantCompleted(first)
	s.c.Sender.Pump(s.now)
	s.want(pub(2, 1, "2"))
	s.send(refusal(2))
	third := s.publish("3", 1)
	s.wantIdle()
	require.True(t, s.c.Sender.Stuck())
	require.True(t, s.c.Sender.Withdraw(second))
	s.want(pub(3, 1, "3"))
	require.False(t, s.c.Sender.Stuck())
	s.send(refusal(3))
	s.c.Sender.Fail(ErrConnectionLost)
	s.wantCompleted(third)
}

func TestOnlyTheLatestOfARefusedTopicWaits(t *testing.T) {
	s := retryScript(t)
	first, second := s.publish("1", 1), s.publish("2", 1)
	s.skip()
	full := s.publishOn("u", "waits", 1)
	s.send(&wire.Puback{PacketID: 3, ReasonCode: wire.QuotaExceeded})
	dropped, ok := s.c.Sender.KeepLatest(true, "u", some, ErrExpired)
	require.Equal(t, 1, dropped)
	require.True(t, ok)
	s.wantCompleted(full)
	s.skip()
	last := s.publishOn("u", "last", 1)
	s.skip()
	s.send(&wire.Puback{PacketID: 4, ReasonCode: wire.QuotaExceeded})
	dropped, ok = s.c.Sender.KeepLatest(true, "v", func(int, int) bool { return false }, ErrExpired)
	require.Zero(t, dropped)
	require.False(t, ok)
	s.send(refusal(1))
	require.True(t, first.Queued())
	s.send(refusal(2))
	s.wantCompleted(first)
	require.ErrorIs(t, first.Result().Err, wire.QuotaExceeded)
	require.True(t, second.Queued())
	require.True(t, last.Queued())
}

func TestNoDeadlineWithoutAConnection(t *testing.T) {
	s := retryScript(t)
	s.publish("1", 1)
	s.skip()
	s.send(refusal(1))
	s.lose()
	require.Zero(t, s.c.Deadline())
	require.False(t, s.c.Sender.Stuck(), "a connection may help")
	s.now = s.now.Add(time.Minute)
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
	s.want(pub(2, 1, "1"))
}
