package session

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestFailAnswersEverybody(t *testing.T) {
	for _, online := range []bool{false, true} {
		s := newScript(t, wire.V5, ClientSettings{Inflight: 2})
		s.up(keeping(wire.V5), &wire.Connack{})
		released, published, queued := s.publish("a", 2), s.publish("b", 1), s.publish("c", 2)
		s.send(pubrec(1))
		s.skip()
		if !online {
			s.lose()
		}
		end := errors.New("closed")
		s.c.Sender.Fail(end)
		s.check()
		s.wantCompleted(released, published, queued)
		for _, o := range []*Outgoing{released, published, queued} {
			require.Equal(t, Result{Err: end}, o.Result())
		}
		require.Equal(t, []bool{true, true, false}, []bool{released.Sent(), published.Sent(), queued.Sent()})
		require.Zero(t, s.c.Sender.Inflight())
		s.c.Sender.Fail(end)
		s.wantCompleted()
	}
}

func TestDropProperties(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Inflight: 2})
	message := func(qos wire.QoS) *Outgoing {
		o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: qos, Properties: &wire.PublishProperties{ContentType: "c"}}}
		s.submit(o)
		return o
	}
	s.up(keeping(wire.V5), &wire.Connack{})
	a, b, c := message(1), message(2), message(1)
	s.send(pubrec(2))
	s.lose()
	s.c.Sender.DropProperties()
	s.check()
	s.v = wire.V311
	s.up(keeping(wire.V311), &wire.Connack{})
	s.want(pub(3, 1, ""), pub(4, 2, ""))
	s.send(puback(3), pubrec(4), pubcomp(4), puback(5))
	s.wantCompleted(a, b, c)
	require.NoError(t, errors.Join(a.Result().Err, b.Result().Err, c.Result().Err))
}

func TestDropExpired(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Inflight: 1})
	message := func(seconds time.Duration) *Outgoing {
		o := &Outgoing{Expires: new(s.now.Add(seconds * time.Second)), Publish: wire.Publish{Topic: "t", QoS: 1}}
		s.submit(o)
		return o
	}
	s.up(keeping(wire.V5), &wire.Connack{})
	sent, first, late, last := message(1), message(1), message(9), message(2)
	s.c.Sender.DropExpired(s.now.Add(time.Second - 1))
	s.wantCompleted()
	s.c.Sender.DropExpired(s.now.Add(2 * time.Second))
	s.check()
	s.wantCompleted(first, last)
	require.ErrorIs(t, last.Result().Err, ErrExpired)
	messages, bytes := s.c.Sender.Queued()
	require.Equal(t, []int{1, 1}, []int{messages, bytes})
	s.send(puback(1), puback(2))
	s.wantCompleted(sent, late)
}

func TestErrorsSayWhoSaidWhat(t *testing.T) {
	require.Equal(t, "server answered PUBACK: "+wire.QuotaExceeded.Error(),
		(&ServerError{Packet: wire.TypePuback, ReasonCode: wire.QuotaExceeded}).Error())
	limits := Limits{MaximumPacketSize: 5}
	err := limits.checkSize(6)
	require.EqualError(t, err, "packet of 6 bytes is larger than the server's maximum of 5")
	require.ErrorIs(t, err, wire.PacketTooLarge)
}
