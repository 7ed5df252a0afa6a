package session

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestServerReceivesMessages(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			s := served(t, v)
			s.send(pub(0, 0, "zero"), pub(1, 1, "one"), pub(2, 2, "two"), &wire.Pingreq{})
			s.want(&wire.Pingresp{})
			tokens := s.wantMessages("zero", "one", "two")
			require.True(t, tokens[0].IsZero())
			s.ack(tokens[2])
			s.wantIdle() // in the order of arrival
			s.ack(tokens[1])
			s.want(puback(1), pubrec(2))
			s.send(dup(2, 2, "two"))
			s.want(pubrec(2))
			s.send(pubrel(2))
			s.want(pubcomp(2))
			s.wantMessages()
		})
	}
}

func TestServerSendsMessages(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			s := served(t, v)
			zero, one, two := s.publish("zero", 0), s.publish("one", 1), s.publish("two", 2)
			s.want(pub(0, 0, "zero"), pub(1, 1, "one"), pub(2, 2, "two"))
			s.send(pubrec(2), puback(1))
			s.want(pubrel(2))
			s.send(pubcomp(2))
			s.wantCompleted(zero, one, two)
		})
	}
}

func TestServerResumesASession(t *testing.T) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) {
			s := served(t, v)
			s.send(pub(9, 2, "held"))
			held := s.wantMessages("held")
			s.publish("one", 1)
			s.publish("two", 2)
			s.send(pubrec(2))
			require.Nil(t, s.lose())
			require.True(t, s.s.HasSession())
			s.publish("three", 1)
			s.dial(keeping(v))
			ack := new(wire.Connack)
			require.NoError(t, s.s.Accept(ack, s.now))
			require.True(t, ack.SessionPresent)
			s.want(ack, pubrel(2), dup(1, 1, "one"), pub(3, 1, "three"))
			s.ack(held...)
			s.send(dup(9, 2, "held"))
			s.want(pubrec(9))
			s.wantMessages()
		})
	}
}

func TestServerForgetsASession(t *testing.T) {
	ends := map[string]func(s *serverScript){
		"clean start": func(s *serverScript) {
			s.lose()
			p := keeping(s.v)
			p.CleanStart = true
			s.up(p, &wire.Connack{})
		},
		"forgotten": func(s *serverScript) {
			s.lose()
			s.s.Forget()
			s.up(keeping(s.v), &wire.Connack{})
		},
	}
	for name, end := range ends {
		for _, v := range versions {
			t.Run(name+" "+v.String(), func(t *testing.T) {
				s := served(t, v)
				s.send(pub(9, 2, "held"))
				held := s.wantMessages("held")
				open, queued := s.publish("open", 1), s.publish("queued", 2)
				end(s)
				s.wantIdle()
				require.False(t, s.s.Connack().SessionPresent)
				s.wantCompleted(open, queued)
				require.ErrorIs(t, open.Result().Err, ErrSessionEnded)
				require.ErrorIs(t, s.s.Receiver.Ack(held[0], wire.Success), ErrStale)
				s.send(pub(9, 2, "new"))
				s.wantMessages("new")
			})
		}
	}
}

func TestServerForgetSparesAConnectedClient(t *testing.T) {
	s := served(t, wire.V5)
	s.publish("one", 1)
	s.s.Forget()
	s.want(pub(1, 1, "one"))
	s.s.Disconnect(&wire.Disconnect{})
	s.s.Forget()
	require.True(t, s.s.HasSession())
	require.Equal(t, 1, s.s.Sender.Inflight())
}

func TestServerSessionWithoutExpiryEndsWithItsConnection(t *testing.T) {
	for _, v := range versions {
		s := newServerScript(t, v, ServerSettings{})
		s.up(&wire.Connect{ClientID: "c1", CleanStart: true}, &wire.Connack{})
		o := s.publish("one", 1)
		require.True(t, s.s.HasSession())
		require.Zero(t, s.s.SessionExpiryInterval())
		s.lose()
		require.False(t, s.s.HasSession())
		s.wantCompleted(o)
		late := s.publish("late", 1)
		s.wantCompleted(late)
		require.ErrorIs(t, late.Result().Err, ErrSessionEnded)
	}
}

func TestServerSessionOfAnEarlierProcess(t *testing.T) {
	s := newServerScript(t, wire.V5, ServerSettings{HasSession: true})
	s.publish("kept", 1)
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
	s.want(pub(1, 1, "kept"))
}

func TestServerGrantsExpiry(t *testing.T) {
	for _, test := range []struct {
		name          string
		v             wire.Version
		clean         bool
		asked         uint32
		granted, left *uint32
		want          uint32
	}{
		{"3.1.1", wire.V311, false, 0, nil, nil, forever},
		{"3.1.1 clean", wire.V311, true, 0, nil, nil, 0},
		{"as asked", wire.V5, false, 60, nil, nil, 60},
		{"less", wire.V5, false, 60, new(uint32(5)), nil, 5},
		{"changed at the end", wire.V5, false, 60, nil, new(uint32(90)), 90},
		{"never more than granted", wire.V5, false, 60, new(uint32(5)), new(uint32(90)), 5},
		{"given up", wire.V5, false, 60, nil, new(uint32(0)), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServerScript(t, test.v, ServerSettings{})
			p := &wire.Connect{ClientID: "c1", CleanStart: test.clean, SessionExpiryInterval: test.asked}
			s.up(p, &wire.Connack{SessionExpiryInterval: test.granted})
			s.send(&wire.Disconnect{SessionExpiryInterval: test.left})
			require.Equal(t, test.want, s.s.SessionExpiryInterval())
			s.lose()
			require.Equal(t, test.want > 0, s.s.HasSession())
		})
	}
	s := newServerScript(t, wire.V5, ServerSettings{})
	s.up(&wire.Connect{ClientID: "c1"}, &wire.Connack{})
	s.sendBad(wire.ProtocolError, &wire.Disconnect{SessionExpiryInterval: new(uint32(1))})
}

// TestServerKeepsWhatConnectBrings checks that nothing of the CONNECT, whose
// bytes the reader uses again, changes later.
func TestServerKeepsWhatConnectBrings(t *testing.T) {
	s := newServerScript(t, wire.V5, ServerSettings{})
	s.s.Open(s.now)
	b := s.encode(&wire.Connect{ClientID: "c1", Username: new("u"), Password: []byte("secret"),
		Will: &wire.Will{Topic: "gone", Payload: []byte("bye"), CorrelationData: []byte("c")}})
	require.NoError(t, s.receive(b))
	clear(b)
	p := wantEvent[*wire.Connect](s)
	require.Same(t, p, s.s.Connect())
	require.Equal(t, "secret", string(p.Password))
	require.Equal(t, "bye", string(p.Will.Payload))
	require.Equal(t, "c", string(p.Will.CorrelationData))
}

func TestServerAnswersRequests(t *testing.T) {
	for _, v := range versions {
		s := served(t, v)
		s.send(subscribing(1, "a", "b"), pub(0, 0, "after"), unsubscribing(2, "a"))
		events := s.s.Events()
		require.Len(t, events, 3)
		require.IsType(t, (*wire.Subscribe)(nil), events[0].Packet)
		require.IsType(t, (*wire.Publish)(nil), events[1].Packet, "in their order")
		require.IsType(t, (*wire.Unsubscribe)(nil), events[2].Packet)

		granted := []wire.ReasonCode{wire.GrantedQoS2, wire.UnspecifiedError}
		require.ErrorIs(t, s.s.Suback(&wire.Suback{PacketID: 2, ReasonCodes: granted[:1]}), ErrOutOfTurn)
		require.ErrorIs(t, s.s.Unsuback(&wire.Unsuback{PacketID: 3}), ErrOutOfTurn)
		require.Error(t, s.s.Suback(&wire.Suback{PacketID: 1, ReasonCodes: granted[:1]}))
		s.wantIdle()
		require.NoError(t, s.s.Suback(&wire.Suback{PacketID: 1, ReasonCodes: granted}))
		s.want(&wire.Suback{PacketID: 1, ReasonCodes: granted})
		require.ErrorIs(t, s.s.Suback(&wire.Suback{PacketID: 1, ReasonCodes: granted}), ErrOutOfTurn)
		if v < wire.V5 {
			require.NoError(t, s.s.Unsuback(&wire.Unsuback{PacketID: 2}))
			s.want(&wire.Unsuback{PacketID: 2})
		} else {
			require.Error(t, s.s.Unsuback(&wire.Unsuback{PacketID: 2}))
			require.NoError(t, s.s.Unsuback(&wire.Unsuback{PacketID: 2, ReasonCodes: granted[1:]}))
			s.want(&wire.Unsuback{PacketID: 2, ReasonCodes: granted[1:]})
		}
		s.s.Recycle()

		// Requests die with their connection.
		s.send(subscribing(5, "a"))
		s.sendBad(wire.ProtocolError, unsubscribing(5, "a"))
		s.s.Recycle()
		require.ErrorIs(t, s.s.Suback(&wire.Suback{PacketID: 5, ReasonCodes: granted[:1]}), ErrNotConnected)
		s.again(keeping(v))
		s.send(subscribing(5, "a"))
	}
}

func TestServerLeavesOutText(t *testing.T) {
	long := make([]byte, 200)
	for i := range long {
		long[i] = 'x'
	}
	text := string(long)
	props := []wire.UserProperty{{Name: "n", Value: text}}
	for _, reason := range []string{"too large", "not wanted"} {
		s := newServerScript(t, wire.V5, ServerSettings{})
		p := keeping(wire.V5)
		p.AuthenticationMethod = "M"
		if reason == "too large" {
			p.MaximumPacketSize = 30
		} else {
			p.RequestProblemInformation = new(false)
		}
		s.dial(p)
		require.NoError(t, s.s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication, ReasonString: text, UserProperties: props}))
		s.want(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "M"})
		s.send(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "M"})
		ack := &wire.Connack{ReasonString: text, UserProperties: props}
		require.NoError(t, s.s.Accept(ack, s.now))
		bye := &wire.Disconnect{ReasonCode: wire.ServerBusy, ReasonString: text, UserProperties: props}
		if reason == "too large" {
			ack, bye = &wire.Connack{}, &wire.Disconnect{ReasonCode: wire.ServerBusy}
		}
		ack.AuthenticationMethod = "M"
		s.want(ack)
		s.send(subscribing(1, "a"), unsubscribing(2, "a"))
		codes := []wire.ReasonCode{wire.Success}
		require.NoError(t, s.s.Suback(&wire.Suback{PacketID: 1, ReasonCodes: codes, ReasonString: text, UserProperties: props}))
		require.NoError(t, s.s.Unsuback(&wire.Unsuback{PacketID: 2, ReasonCodes: codes, ReasonString: text, UserProperties: props}))
		s.want(&wire.Suback{PacketID: 1, ReasonCodes: codes}, &wire.Unsuback{PacketID: 2, ReasonCodes: codes})
		require.NoError(t, s.s.Disconnect(&wire.Disconnect{ReasonCode: wire.ServerBusy, ReasonString: text, UserProperties: props}))
		s.want(bye)
		s.wantIdle()
	}
}

func TestServerHandleBuffered(t *testing.T) {
	for _, v := range versions {
		s := newServerScript(t, v, ServerSettings{})
		stream := s.encode(keeping(v), pub(1, 1, "one"), &wire.Pingreq{})
		r := wire.NewReader(&source{stream}, 0, 0)
		s.s.Open(s.now)
		require.NoError(t, r.Fill())
		require.NoError(t, s.s.HandleBuffered(r, s.now))
		wantEvent[*wire.Connect](s)
		h, n, err := wire.ParseHeader(stream, 0)
		require.NoError(t, err)
		require.ErrorIs(t, s.s.Handle(h, stream[n:h.Size], s.now), ErrUndecided)
		require.NoError(t, s.s.HandleBuffered(r, s.now))
		s.wantMessages()
		require.NoError(t, s.s.Accept(&wire.Connack{}, s.now))
		require.NoError(t, s.s.HandleBuffered(r, s.now))
		s.want(&wire.Connack{}, &wire.Pingresp{})
		s.ack(s.wantMessages("one")...)
		s.want(puback(1))
	}
}

// source gives its bytes at once, and then an error.
type source struct{ b []byte }

func (s *source) Read(p []byte) (int, error) {
	n := copy(p, s.b)
	s.b = s.b[n:]
	if n == 0 {
		return 0, errors.New("nothing more")
	}
	return n, nil
}

func TestServerHandlesMessagesWithoutAllocating(t *testing.T) {
	s := served(t, wire.V5)
	in := s.encode(pubrel(2), pub(1, 1, "one"), pub(2, 2, "two"))
	r := &loop{b: in}
	reader := wire.NewReader(r, wire.V5, 0)
	var spare []byte
	allocs := testing.AllocsPerRun(100, func() {
		r.again = true
		if reader.Fill() != nil || s.s.HandleBuffered(reader, s.now) != nil {
			t.Fatal("not handled")
		}
		for _, e := range s.s.Events() {
			_ = s.s.Receiver.Ack(e.Token, wire.Success)
		}
		s.s.Recycle()
		spare = s.s.Take(spare, s.now)
	})
	require.Zero(t, allocs)
}

// loop gives the same bytes whenever it is told to.
type loop struct {
	b     []byte
	again bool
}

func (l *loop) Read(p []byte) (int, error) {
	if !l.again {
		return 0, errors.New("nothing more")
	}
	l.again = false
	return copy(p, l.b), nil
}
