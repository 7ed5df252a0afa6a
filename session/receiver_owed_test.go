package session

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestUnorderedAnswersDoNotWait(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := newScript(t, v, ClientSettings{UnorderedAnswers: true})
		s.up(keeping(v), &wire.Connack{})
		s.send(pub(3, 1, "a"), pub(1, 2, "b"), pub(2, 1, "c"), pub(4, 2, "d"))
		tokens := s.wantMessages("a", "b", "c", "d")
		s.ack(tokens[3])
		s.want(pubrec(4))
		s.ack(tokens[2])
		s.want(puback(2))
		s.send(pubrel(4))
		s.want(pubcomp(4))
		// Acknowledged without a connection: the answer goes out when it is repeated.
		s.lose()
		s.ack(tokens[1])
		s.up(keeping(v), &wire.Connack{SessionPresent: true})
		s.wantIdle()
		s.send(dup(3, 1, "a"), dup(1, 2, "b"))
		s.wantMessages()
		s.want(pubrec(1))
		s.ack(tokens[0])
		s.want(puback(3))
		s.wantIdle()
	}
}

func TestWhatIsLeftIsDeliveredOnALaterConnection(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := connectedScript(t, v)
		s.send(pub(1, 1, "a"), pub(2, 2, "b"), pub(3, 1, "c"))
		tokens := s.wantMessages("a", "b", "c")
		s.c.Receiver.Leave(tokens[1])
		require.ErrorIs(t, s.c.Receiver.Ack(tokens[1], wire.Success), ErrStale)
		s.ack(tokens[0], tokens[2])
		s.want(puback(1)) // [MQTT-4.6.0-2] the answer to the third waits
		s.wantIdle()
		s.resume()
		s.send(dup(2, 2, "b"), dup(3, 1, "c"))
		again := s.wantMessages("b")
		s.ack(again...)
		s.want(pubrec(2), puback(3))
		s.send(pubrel(2))
		s.want(pubcomp(2))
		require.Zero(t, s.c.Receiver.Unfinished())
	}
}

func TestPubrelForWhatIsLeftIsAProtocolError(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.send(pub(2, 2, "b"))
	s.c.Receiver.Leave(s.wantMessages("b")[0])
	s.sendBad(wire.ProtocolError, pubrel(2))
}

func TestRenouncedMessagesAreAnswered(t *testing.T) {
	s := connectedScript(t, wire.V311)
	s.send(pub(1, 1, "a"), pub(2, 2, "b"), pub(3, 1, "c"))
	tokens := s.wantMessages("a", "b", "c")
	s.c.Receiver.Leave(tokens[0])
	s.c.Receiver.Leave(tokens[1])
	s.ack(tokens[2])
	s.wantIdle()
	s.c.Receiver.Renounce(tokens[1])
	s.wantIdle()
	s.c.Receiver.Renounce(tokens[0])
	s.want(puback(1), pubrec(2), puback(3))
	s.c.Receiver.Renounce(tokens[0])
	s.wantIdle()
}

func TestOwedIsWhatOnlyThePeerCanFinish(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := connectedScript(t, v)
		owed := s.c.Receiver.Owed
		s.send(pub(1, 2, "a"), pub(2, 1, "b"), pub(3, 2, "c"))
		tokens := s.wantMessages("a", "b", "c")
		require.Zero(t, owed(), "the application has them")
		s.ack(tokens[0])
		s.want(pubrec(1))
		require.Equal(t, 1, owed(), "PUBREL is missing")
		s.ack(tokens[2])
		require.Equal(t, 1, owed(), "the third waits for the second")
		s.send(pubrel(1))
		s.want(pubcomp(1))
		require.Zero(t, owed())
		s.lose()
		require.Equal(t, 1, owed(), "the peer has to repeat it")
		s.ack(tokens[1])
		require.Equal(t, 2, owed())
		s.up(keeping(v), &wire.Connack{SessionPresent: true})
		require.Equal(t, 2, owed())
		s.send(dup(2, 1, "b"))
		s.want(puback(2))
		require.Equal(t, 1, owed())
		s.send(dup(3, 2, "c"), pubrel(3))
		s.want(pubrec(3), pubcomp(3))
		require.Zero(t, owed())
	}
}

func TestUnacknowledgedCountsWhatTheApplicationHasAndWhatWaitsBehindIt(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := connectedScript(t, v)
		want := func(held, waiting int) {
			h, w := s.c.Receiver.Unacknowledged()
			require.Equal(t, []int{held, waiting}, []int{h, w})
		}
		want(0, 0)
		s.send(pub(1, 1, "a"), pub(2, 2, "b"), pub(3, 1, "c"), pub(4, 1, "d"), pub(5, 2, "e"))
		tokens := s.wantMessages("a", "b", "c", "d", "e")
		want(5, 0)
		s.ack(tokens[1], tokens[4])
		want(3, 2)
		s.c.Receiver.Leave(tokens[3])
		want(2, 2)
		s.ack(tokens[0])
		s.want(puback(1), pubrec(2))
		want(1, 1)
		s.resume()
		want(1, 0) // what was acknowledged is owed until it comes again
		require.Equal(t, 1, s.c.Receiver.Owed())
	}
}

func TestUnacknowledgedDoesNotCountWhatCameAfterTheEnd(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := connectedScript(t, v)
		want := func(held, waiting int) {
			h, w := s.c.Receiver.Unacknowledged()
			require.Equal(t, []int{held, waiting}, []int{h, w})
		}
		s.send(pub(1, 1, "a"), pub(2, 2, "b"))
		tokens := s.wantMessages("a", "b")
		s.c.Receiver.EndHere()
		want(2, 0)
		s.send(pub(3, 1, "c"), pub(4, 2, "d"))
		tokens = append(tokens, s.wantMessages("c", "d")...)
		want(2, 0)
		s.ack(tokens[1], tokens[3])
		want(1, 1) // the last waits behind one that is too late
		s.ack(tokens[2])
		want(1, 3)
		s.resume()
		want(1, 0)
		s.send(dup(1, 1, "a"), pub(5, 1, "e"))
		s.wantMessages("e")
		want(1, 0) // a repeat came before the end, whenever it is repeated
	}
}

// There is one for each received message whose exchange is not over. One byte more takes
// another 16.
func TestAnExchangeFitsItsSizeClass(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(incoming{}), uintptr(80))
}
