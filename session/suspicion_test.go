package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// kill is a connection that the server closes without acknowledging anything.
// It returns the payloads that it saw.
func (s *script) kill(byServer bool) []string {
	s.t.Helper()
	s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.hasSession})
	s.take()
	var seen []string
	for b := s.out; len(b) > 0; {
		h, n, err := wire.ParseHeader(b, s.v)
		require.NoError(s.t, err)
		d := wire.Decoder{Version: s.v, From: wire.FromClient}
		p, err := d.Decode(h, b[n:h.Size])
		require.NoError(s.t, err)
		if p, ok := p.(*wire.Publish); ok {
			seen = append(seen, string(p.Payload))
		}
		b = b[h.Size:]
	}
	s.out = nil
	s.c.Lost(byServer)
	s.check()
	return seen
}

func TestPoisonMessageIsFoundAndGivenUp(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		for qos := wire.AtLeastOnce; qos <= wire.ExactlyOnce; qos++ {
			s := newScript(t, v, ClientSettings{})
			poison := s.publish("poison", qos)
			b, c := s.publish("b", 1), s.publish("c", 2)
			for range suspectAfter {
				require.Equal(t, []string{"poison", "b", "c"}, s.kill(true))
			}
			for range undeliverableAfter {
				s.wantCompleted()
				require.Equal(t, []string{"poison"}, s.kill(true))
			}
			s.wantCompleted(poison)
			require.ErrorIs(t, poison.Result().Err, ErrUndeliverable)
			s.up(keeping(v), &wire.Connack{SessionPresent: true})
			s.want(dup(2, 1, "b"), dup(3, 2, "c")) // the others go together again
			s.send(puback(2), pubrec(3), pubcomp(3))
			s.wantCompleted(b, c)
		}
	}
}

func TestPoisonBehindGoodMessages(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	good, poison, last := s.publish("good", 1), s.publish("poison", 1), s.publish("last", 1)
	for range suspectAfter {
		s.kill(true)
	}
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
	s.want(dup(1, 1, "good"))
	s.wantIdle()
	s.send(puback(1)) // which clears this one only
	s.wantCompleted(good)
	s.want(dup(2, 1, "poison"))
	s.wantIdle()
	s.c.Lost(true)
	for range undeliverableAfter - 1 {
		s.wantCompleted()
		require.Equal(t, []string{"poison"}, s.kill(true))
	}
	s.wantCompleted(poison)
	require.Equal(t, []string{"last"}, s.kill(false))
	require.False(t, last.Queued())
}

func TestOnlyTheServersClosingIsSuspicious(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.publish("a", 1)
	s.publish("b", 1)
	for range 3 * undeliverableAfter {
		require.Equal(t, []string{"a", "b"}, s.kill(false))
	}
	for range suspectAfter {
		s.kill(true)
	}
	for range 3 * undeliverableAfter { // alone, but it is the network that breaks
		require.Equal(t, []string{"a"}, s.kill(false))
	}
	s.wantCompleted()
}

func TestConnectionsWithoutMessagesAreNotSuspicious(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	for range 3 * undeliverableAfter {
		require.Empty(t, s.kill(true))
	}
	s.publish("a", 1)
	s.publish("b", 1)
	require.Equal(t, []string{"a", "b"}, s.kill(true))
	// A connection that never came up says nothing about messages.
	for range 3 * undeliverableAfter {
		s.dial(keeping(wire.V5))
		s.c.Lost(true)
		s.dial(keeping(wire.V5))
		s.refuse(&wire.Connack{ReasonCode: wire.ServerBusy})
		s.c.Lost(true)
	}
	require.Equal(t, []string{"a", "b"}, s.kill(true))
}

func TestProgressElsewhereHidesNothing(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	for i := range 20 {
		s.publish(fmt.Sprint(i), 1)
	}
	s.kill(true)
	s.kill(true)
	// The third one acknowledges a message before it is closed.
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
	s.skip()
	s.send(puback(1))
	s.c.Lost(true)
	require.Equal(t, []string{"1"}, s.kill(true))
}

func TestSuspectWithLostSession(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	poison := s.publish("poison", 2)
	s.publish("b", 1)
	clean := keeping(wire.V5)
	clean.CleanStart = true
	for range suspectAfter + undeliverableAfter {
		s.wantCompleted()
		s.up(clean, &wire.Connack{})
		s.take()
		s.c.Lost(true)
		s.check()
	}
	s.wantCompleted(poison)
	require.ErrorIs(t, poison.Result().Err, ErrUndeliverable)
	s.up(clean, &wire.Connack{})
	s.take()
	require.Len(t, lines(s.v, s.out), 1)
}
