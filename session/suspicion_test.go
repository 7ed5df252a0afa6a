package session

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// kill is a connection that the server closes without acknowledging anything.
// It returns the payloads that it saw.
func (s *script) kill(byServer bool) []string {
	s.t.Helper()
	s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
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

func TestWhatWasNotWrittenCompletelyIsNotBlamed(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.publish("large", 1)
	for range 5 * undeliverableAfter {
		s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
		connect := s.c.link.account.written
		b := s.c.Take(nil, s.now)
		s.c.WroteBytes(connect + uint64(len(b)) - 1)
		s.c.LostBecause(io.EOF, s.now)
		s.check()
		s.wantCompleted()
	}
	// That it is too large a server can say of the header.
	for range undeliverableAfter {
		s.wantCompleted()
		s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
		connect := s.c.link.account.written
		s.c.Take(nil, s.now)
		s.c.WroteBytes(connect + 3)
		s.refuseQuietly(&wire.Disconnect{ReasonCode: wire.PacketTooLarge, ReasonString: "9 at most"})
	}
	done := s.c.Sender.Completed(nil)
	require.Len(t, done, 1)
	require.ErrorIs(t, done[0].Result().Err, ErrUndeliverable)
	require.ErrorIs(t, done[0].Result().Err, wire.PacketTooLarge)
	require.ErrorContains(t, done[0].Result().Err, "9 at most")
}

// Before 5.0 a server that refuses the size of a packet can only hang up. By then some
// of the packet is in the buffers of the two systems, and the rest is never written.
func TestPacketThatIsRefusedAtItsHeaderFails(t *testing.T) {
	s := newScript(t, wire.V311, ClientSettings{})
	o := s.submitLarge()
	for range suspectAfter {
		s.upAgain()
		require.Greater(t, s.writeAll(), 1<<20)
		s.c.LostBecause(io.EOF, s.now)
	}
	for range undeliverableAfter {
		s.wantCompleted()
		s.upAgain()
		for s.c.link.buf == nil { // the control before the last chance
			s.now = s.c.Deadline()
			require.NoError(t, s.c.Tick(s.now))
		}
		require.Less(t, s.writeAll(), 20, "the beginning of the packet alone")
		s.c.LostBecause(io.EOF, s.now)
		s.check()
	}
	s.wantCompleted(o)
	require.ErrorIs(t, o.Result().Err, ErrUndeliverable)
}

// What a server has not minded is not its reason for hanging up later.
func TestPacketWhoseBeginningIsTakenIsNotBlamed(t *testing.T) {
	s := newScript(t, wire.V311, ClientSettings{})
	o := s.submitLarge()
	for range 5 * undeliverableAfter {
		s.upAgain()
		s.writeAll()
		if o.suspect() {
			require.NoError(t, s.advance(patience/2))
			require.Greater(t, s.writeAll(), 1<<20)
		}
		s.c.LostBecause(io.EOF, s.now)
		s.check()
		s.wantCompleted()
	}
	s.upAgain()
	s.writeAll()
	require.NoError(t, s.advance(patience/2))
	s.take()
	s.send(&wire.Puback{PacketID: o.Publish.PacketID})
	s.wantCompleted(o)
	require.NoError(t, o.Result().Err)
}

// submitLarge publishes a message that is streamed.
func (s *script) submitLarge() *Outgoing {
	o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1, Payload: make([]byte, 17<<20)}}
	s.c.Sender.Submit(o, s.now)
	return o
}

func (s *script) upAgain() {
	s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
	s.out = nil
}

// writeAll writes what there is, up to 2 MiB, and returns how much that was.
func (s *script) writeAll() (n int) {
	for n < 2<<20 && s.c.Pending() > 0 {
		n += len(s.c.Take(nil, s.now))
		s.c.Wrote(s.now)
	}
	return n
}

// refuseQuietly is the server that ends the connection with p.
func (s *script) refuseQuietly(p wire.Packet) {
	s.t.Helper()
	require.Error(s.t, s.receive(s.encode(p)))
	s.c.Lost(true)
	s.check()
}

func TestControlComesBeforeTheLastChance(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	o := s.publish("poison?", 1)
	kill := func() []string {
		s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
		s.take()
		n := len(lines(s.v, s.out))
		s.now = s.now.Add(2 * time.Second)
		s.c.LostBecause(io.EOF, s.now)
		s.check()
		return make([]string, n)
	}
	for range undeliverableAfter - 1 {
		require.Len(t, kill(), 1)
	}
	require.Empty(t, kill(), "the control, and it hangs up all the same")
	for range undeliverableAfter - 1 {
		require.Len(t, kill(), 1, "so all begins anew")
	}
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	s.wantIdle()
	require.Equal(t, s.now.Add(4*time.Second), s.c.Deadline())
	require.NoError(t, s.advance(4*time.Second))
	s.want(dup(1, 1, "poison?"))
	s.c.LostBecause(io.EOF, s.now)
	s.wantCompleted(o)
	require.ErrorIs(t, o.Result().Err, ErrUndeliverable)
}

// The suspect is on its way when the server hangs up, but has not left. Were that no
// sign, every connection could end in this moment, and nothing would be sent again.
func TestServerThatHangsUpAtTheEndOfTheControlClearsTheSuspect(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	o := s.publish("poison?", 1)
	for range undeliverableAfter - 1 {
		s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
		s.take()
		s.c.LostBecause(io.EOF, s.now)
		s.check()
	}
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	s.wantIdle()
	connect := s.c.link.account.written
	s.now = s.c.Deadline()
	require.NoError(t, s.c.Tick(s.now))
	require.NotEmpty(t, s.c.Take(nil, s.now))
	s.c.WroteBytes(connect)
	s.c.LostBecause(io.EOF, s.now)
	require.False(t, o.suspect())
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	s.want(dup(1, 1, "poison?"))
}

func TestServerThatTakesItsTimeForASuspectGetsTheOthersToo(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	a, b := s.publish("a", 1), s.publish("b", 1)
	for range suspectAfter {
		s.kill(true)
	}
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	s.want(dup(1, 1, "a"))
	s.publish("0", 0)
	s.send(pub(9, 1, "in"))
	s.ack(s.wantMessages("in")...)
	s.want(puback(9)) // what the server waits for does not wait
	s.wantIdle()
	require.NoError(t, s.advance(patience))
	s.want(dup(2, 1, "b"), pub(0, 0, "0"))
	s.send(puback(2), puback(1))
	s.c.Sender.Completed(nil)
	require.False(t, a.suspect() || b.suspect())
}

// A server that is silent for seconds and then hangs up does so for a reason of its own.
func TestServerThatTakesItsTimeCondemnsNothing(t *testing.T) {
	for name, late := range map[string]time.Duration{"noticed in time": 0, "noticed late": time.Second} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, wire.V311, ClientSettings{})
			a := s.publish("a", 1)
			for range suspectAfter {
				s.kill(true)
			}
			for range 3 * undeliverableAfter {
				s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
				if s.take(); len(s.out) == 0 { // the control
					require.NoError(t, s.advance(maxControl))
					s.take()
				}
				require.NotEmpty(t, s.out)
				if s.out = nil; late > 0 {
					s.now = s.now.Add(patience + late)
				} else {
					require.NoError(t, s.advance(patience))
				}
				s.c.LostBecause(errHungUp, s.now)
				s.check()
			}
			s.wantCompleted()
			s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
			s.want(dup(1, 1, "a"))
			s.send(puback(1))
			s.wantCompleted(a)
		})
	}
}

// On a line that breaks often the acknowledgements are what makes progress.
func TestAcknowledgementsDoNotWaitForASuspect(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := newScript(t, v, ClientSettings{})
		s.publish("a", 2)
		s.publish("b", 1)
		for range suspectAfter {
			s.kill(true)
		}
		s.up(keeping(v), &wire.Connack{SessionPresent: true})
		s.want(dup(1, 2, "a"))
		s.send(pub(9, 1, "x"), pub(8, 2, "y"))
		s.ack(s.wantMessages("x", "y")...)
		s.want(puback(9), pubrec(8))
		s.wantIdle()
		s.send(pubrec(1))
		s.want(pubrel(1))
		s.wantIdle()
		s.send(pubcomp(1))
		s.want(dup(2, 1, "b"))
	}
}

func TestFilterOfManyIsFound(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := newScript(t, v, ClientSettings{})
		whole := &wire.Subscribe{Filters: subscribe("a", "bad", "b").Subscribe.Filters}
		answered := map[string]error{}
		for connections := 0; len(answered) < 3; connections++ {
			require.Less(t, connections, 2*(suspectAfter+undeliverableAfter))
			s.up(keeping(v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
			left := *whole
			left.Filters = nil
			for _, f := range whole.Filters {
				if _, over := answered[f.Filter]; !over {
					left.Filters = append(left.Filters, f)
				}
			}
			for _, p := range s.c.SplitSubscribe(&left, 0) {
				s.request(&Request{Subscribe: p})
			}
			for s.answerSubscribes("bad") {
			}
			s.c.LostBecause(io.EOF, time.Time{}) // no control, which takes time
			s.check()
			for _, r := range s.c.Answered(nil) {
				if r.Err == nil || errors.Is(r.Err, ErrUndeliverable) {
					for _, f := range r.Subscribe.Filters {
						answered[f.Filter] = r.Err
					}
				}
			}
		}
		require.NoError(t, answered["a"])
		require.NoError(t, answered["b"])
		require.ErrorIs(t, answered["bad"], io.EOF)
		require.Empty(t, s.c.Sender.suspicion.filters)
	}
}

// answerSubscribes answers every SUBSCRIBE without this filter. It reports whether
// there may be more.
func (s *script) answerSubscribes(bad string) bool {
	s.t.Helper()
	s.take()
	b := s.out
	s.out = nil
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, s.v)
		require.NoError(s.t, err)
		d := wire.Decoder{Version: s.v, From: wire.FromClient}
		p, err := d.Decode(h, b[n:h.Size])
		require.NoError(s.t, err)
		b = b[h.Size:]
		sub, ok := p.(*wire.Subscribe)
		if !ok {
			continue
		}
		if slices.ContainsFunc(sub.Filters, func(f wire.SubscribeFilter) bool { return f.Filter == bad }) {
			return false
		}
		s.send(&wire.Suback{PacketID: sub.PacketID, ReasonCodes: make([]wire.ReasonCode, len(sub.Filters))})
	}
	return s.c.Pending() > 0
}

func TestSuspicionForgetsFiltersThatNobodyWants(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	for range suspectAfter {
		s.up(keeping(s.v), &wire.Connack{SessionPresent: s.c.HasSessionOf("c1")})
		s.request(subscribe("a"))
		s.request(unsubscribe("b"))
		s.take()
		s.c.Lost(true)
	}
	require.Len(t, s.c.Sender.suspicion.filters, 2)
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	s.publish("x", 1)
	s.want(pub(firstIDOf(s), 1, "x"))
	s.lose()
	require.Empty(t, s.c.Sender.suspicion.filters)
}

func firstIDOf(s *script) uint16 { return s.c.Sender.published.head.Publish.PacketID }

func TestWhatMayBeAboutAPacket(t *testing.T) {
	for _, code := range []wire.ReasonCode{wire.Success, wire.UnspecifiedError, wire.MalformedPacket, wire.ProtocolError, wire.NotAuthorized,
		wire.TopicFilterInvalid, wire.TopicNameInvalid, wire.PacketTooLarge, wire.QuotaExceeded, wire.PayloadFormatInvalid, wire.QoSNotSupported} {
		require.True(t, maybeForPacket(&ServerError{Packet: wire.TypeDisconnect, ReasonCode: code}), "%v", code)
	}
	for _, code := range []wire.ReasonCode{wire.ServerBusy, wire.ServerShuttingDown, wire.KeepAliveTimeout, wire.SessionTakenOver, wire.AdministrativeAction,
		wire.UseAnotherServer, wire.ServerMoved, wire.ConnectionRateExceeded, wire.MaximumConnectTime, wire.MessageRateTooHigh} {
		require.False(t, maybeForPacket(&ServerError{Packet: wire.TypeDisconnect, ReasonCode: code}), "%v", code)
	}
	for packet, guilty := range map[wire.PacketType]bool{wire.TypePuback: true, wire.TypeSuback: true, wire.TypePubcomp: true, 0: true,
		wire.TypePublish: false, wire.TypePubrel: false} {
		require.Equal(t, guilty, maybeForPacket(&wire.Error{Packet: packet, Reason: wire.MalformedPacket}), "%v", packet)
	}
}

func TestLostCountsMessagesAtMostOnceThatWereNotWritten(t *testing.T) {
	s := connectedScript(t, wire.V5)
	for range 3 {
		s.publish("x", 0)
	}
	before := s.c.link.account.written
	b := s.c.Take(nil, s.now)
	s.publish("y", 0) // not even taken
	s.c.WroteBytes(before + uint64(len(b))/2)
	s.lose()
	require.EqualValues(t, 3, s.c.Sender.Lost(), "the first was written")
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	s.publish("x", 0)
	s.want(pub(0, 0, "x"))
	s.lose()
	require.EqualValues(t, 3, s.c.Sender.Lost())
}

func TestServerThatHasReasonsOfItsOwnAcquits(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.publish("a", 1)
	for range 3 {
		for range undeliverableAfter - 1 {
			require.Equal(t, []string{"a"}, s.kill(true))
		}
		s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
		s.skip()
		s.refuseQuietly(&wire.Disconnect{ReasonCode: wire.ServerBusy})
		s.wantCompleted()
	}
}
