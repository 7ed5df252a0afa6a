package session

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// The heap against the definition: the deadline is the earliest of all that wait, and
// exactly those that are due are dropped.
func TestDeadlineIsThatOfTheMessageThatHasToLeaveFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	now := time.Unix(1_000_000, 0)
	c := NewClient(ClientSettings{})
	s := c.Sender
	waiting := map[*Outgoing]time.Time{}
	for range 20_000 {
		switch random.IntN(8) {
		case 0, 1, 2:
			o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: wire.QoS(random.IntN(3))}}
			var at time.Time
			if random.IntN(3) > 0 {
				at = now.Add(time.Duration(1+random.IntN(100)) * time.Second)
				o.Expires = ExpiresAt(at)
			}
			s.Submit(o, now)
			if random.IntN(3) == 0 {
				limit := now.Add(time.Duration(1+random.IntN(100)) * time.Second)
				s.WaitUntil(o, limit)
				at = earlier(at, limit)
			}
			waiting[o] = at
		case 3:
			for o := range waiting { // any
				require.True(t, s.Withdraw(o))
				delete(waiting, o)
				break
			}
		case 4:
			now = now.Add(time.Duration(random.IntN(10)) * time.Second)
			require.NoError(t, c.Tick(now))
			for _, o := range s.Completed(nil) {
				require.ErrorIs(t, o.Result().Err, ErrExpired)
				require.False(t, waiting[o].After(now))
				require.False(t, waiting[o].IsZero())
				delete(waiting, o)
			}
		}
		var first time.Time
		for _, at := range waiting {
			first = earlier(first, at)
		}
		require.Equal(t, first, c.Deadline())
	}
	require.Equal(t, len(waiting), s.queue.len)
}

func TestAMessageThatIsSentHasNoDeadline(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1}, Expires: new(s.now.Add(time.Minute))}
	s.submit(o)
	require.Equal(t, o.Expiry(), s.c.Deadline())
	s.up(keeping(wire.V5), &wire.Connack{})
	s.skip()
	require.Zero(t, s.c.Sender.Deadline())
	s.c.Sender.WaitUntil(o, s.now)
	require.Zero(t, s.c.Sender.Deadline())
	s.send(puback(1))
	s.wantCompleted(o)
	s.c.Sender.WaitUntil(o, s.now)
	require.Zero(t, s.c.Sender.Deadline())
}

func TestAMessageOfALostSessionExpiresWhileItWaitsAgain(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), &wire.Connack{})
	first := s.publish("first", 1)
	o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1}, Expires: new(s.now.Add(time.Minute))}
	s.submit(o)
	s.skip()
	s.lose()
	s.up(keeping(wire.V5), &wire.Connack{ReceiveMaximum: 1})
	s.skip()
	require.NoError(t, s.advance(time.Minute))
	s.wantCompleted(o)
	require.ErrorIs(t, o.Result().Err, ErrExpired)
	require.True(t, o.Sent(), "so it may have been delivered")
	s.skip()
	s.send(puback(3))
	s.wantCompleted(first)
}
