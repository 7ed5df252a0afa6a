package session

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// streamFrom lets payloads of n bytes stream, p bytes at a time, until the test
// ends.
func streamFrom(t *testing.T, n, p int) {
	t.Helper()
	before, beforePiece := streamed, piece
	t.Cleanup(func() { streamed, piece = before, beforePiece })
	streamed, piece = n, p
}

// takeOnce is one write.
func (s *script) takeOnce() []byte {
	s.t.Helper()
	b := s.c.Take(nil, s.now)
	s.check()
	return b
}

func TestALargePayloadIsNeverCopiedAsAWhole(t *testing.T) {
	const size = 3<<20 + 5
	for _, qos := range []wire.QoS{0, 1, 2} {
		s := connectedScript(t, wire.V5)
		payload := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
		o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: payload, QoS: qos}}
		s.submit(o)
		after := s.publish("after", 0)
		var got []byte
		for s.c.Pending() > 0 {
			require.LessOrEqual(t, s.c.Backlog(), piece+1000)
			got = append(got, s.takeOnce()...)
		}
		want := wire.Publish{Topic: "t", Payload: payload, QoS: qos}
		if qos > 0 {
			want.PacketID = 1
		}
		require.True(t, bytes.Equal(s.encode(&want, pub(0, 0, "after")), got))
		if qos == 0 {
			s.wantCompleted(o, after)
		} else {
			s.wantCompleted(after)
		}
	}
}

func TestWhatComesDuringAStreamWaitsBehindIt(t *testing.T) {
	streamFrom(t, 6, 2)
	s := connectedScript(t, wire.V5)
	s.send(pub(7, 1, "in"))
	tokens := s.wantMessages("in")
	o := s.publish("abcdefg", 0)
	require.Equal(t, []byte{0x30, 11}, s.takeOnce()[:2])
	s.ack(tokens...)
	s.request(subscribe("f"))
	next := s.publish("next", 0)
	second := s.publish("123456", 1)
	s.wantCompleted()
	require.Equal(t, 3, s.c.Sender.Outstanding(s.c.Sender.LastSeq()), "one that streams counts")
	require.Equal(t, "ab", string(s.takeOnce()))
	require.Equal(t, "cd", string(s.takeOnce()))
	s.wantCompleted()
	require.Equal(t, "ef", string(s.takeOnce()))
	s.wantCompleted(o, next)
	s.wantAll(append([]byte("g"), s.encode(puback(7), &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: "f", QoS: 2}}},
		pub(0, 0, "next"), pub(2, 1, "123456"))...))
	s.send(puback(2))
	s.wantCompleted(second)
}

// wantAll expects exactly b.
func (s *script) wantAll(b []byte) {
	s.t.Helper()
	s.take()
	require.Equal(s.t, b, s.out)
	s.out = nil
}

func TestAStreamedPayloadIsTheCallersOnlyAsLongAsItIsNeeded(t *testing.T) {
	streamFrom(t, 6, 2)
	for name, release := range map[string]func(*script, *Outgoing){
		"acknowledged too early": func(s *script, o *Outgoing) {
			s.send(puback(1))
			s.wantCompleted(o)
		},
		"given up by the caller": func(s *script, o *Outgoing) { s.c.Sender.Own(o) },
	} {
		t.Run(name, func(t *testing.T) {
			s := connectedScript(t, wire.V5)
			payload := []byte("abcdefg")
			o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: payload, QoS: 1}}
			s.submit(o)
			s.out = append(s.takeOnce(), s.takeOnce()...)
			release(s, o)
			copy(payload, "-------")
			s.want(pub(1, 1, "abcdefg"))
			s.wantIdle()
		})
	}
}

func TestAStreamEndsWithItsConnection(t *testing.T) {
	streamFrom(t, 6, 2)
	s := connectedScript(t, wire.V5)
	acknowledged := s.publish("abcdefg", 1)
	s.takeOnce()
	s.resume()
	s.want(dup(1, 1, "abcdefg"))
	s.send(puback(1))
	s.wantCompleted(acknowledged)

	cut := s.publish("abcdefg", 0)
	s.takeOnce()
	s.lose()
	s.wantCompleted(cut)
	require.ErrorIs(t, cut.Result().Err, ErrConnectionLost)
	require.True(t, cut.Sent(), "the peer may have seen something")
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	s.wantIdle()

	left := s.publish("abcdefg", 0)
	s.takeOnce()
	s.c.Sender.Fail(ErrNotConnected)
	s.wantCompleted(left)
	s.wantAll([]byte("abcdefg"))
}

func TestAPingBehindAStreamIsNotMissedBeforeItIsSent(t *testing.T) {
	streamFrom(t, 6, 2)
	s := newScript(t, wire.V5, ClientSettings{PingTimeout: time.Second})
	p := keeping(wire.V5)
	p.KeepAlive = 10
	s.up(p, &wire.Connack{})
	s.publish("abcdefghi", 0)
	s.takeOnce()
	require.NoError(t, s.advance(9*time.Second)) // PINGREQ waits behind the payload
	for range 4 {
		require.NoError(t, s.advance(5*time.Second))
		s.takeOnce()
		s.c.Wrote(s.now)
	}
	last := s.takeOnce()
	require.Equal(t, append([]byte("i"), s.encode(&wire.Pingreq{})...), last)
	s.c.Wrote(s.now)
	require.ErrorIs(t, s.advance(2*time.Second), ErrKeepAlive)
}

func TestAPingBehindAStreamIsSentBeforeTheNextStream(t *testing.T) {
	streamFrom(t, 6, 6)
	for name, goOn := range map[string]func(*script, *Outgoing) []byte{
		"written in place": func(s *script, o *Outgoing) []byte {
			require.Equal(t, "abcdef", string(s.c.Sender.TakePayload(o)))
			s.c.Sender.WrotePayload(o, 6, s.now)
			s.c.Wrote(s.now)
			return s.takeOnce()
		},
		"taken in vain": func(s *script, o *Outgoing) []byte {
			s.c.Sender.TakePayload(o)
			s.c.Sender.WrotePayload(o, 0, s.now)
			return bytes.TrimPrefix(s.takeOnce(), []byte("abcdef"))
		},
		"not written in place": func(s *script, o *Outgoing) []byte {
			return bytes.TrimPrefix(s.takeOnce(), []byte("abcdef"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, wire.V5, ClientSettings{PingTimeout: time.Second})
			p := keeping(wire.V5)
			p.KeepAlive = 10
			s.up(p, &wire.Connack{})
			first := s.publish("abcdef", 0)
			second := s.publish("ABCDEF", 0)
			s.c.TakeBefore(first, nil, s.now)
			require.NoError(t, s.advance(9*time.Second)) // PINGREQ waits behind the payload
			require.Equal(t, s.encode(&wire.Pingreq{}), goOn(s, first)[:2])
			s.c.Wrote(s.now)
			s.send(&wire.Pingresp{})
			s.take()
			s.c.Wrote(s.now)
			require.NoError(t, s.advance(2*time.Second), "it was answered")
			s.wantCompleted(first, second)
		})
	}
}

// The conversations of the model with every payload streamed byte by byte.
func TestConversationsOfStreams(t *testing.T) {
	streamFrom(t, 1, 1)
	t.Run("cut", TestEveryCutOfAConversation)
	t.Run("client and server", TestEveryCutBetweenClientAndServer)
	early := 0
	for seed := range uint64(1000) {
		inPlace := seed%2 == 0
		w, err := random(seed, false, inPlace)
		if err != nil {
			w, _ = random(seed, true, inPlace)
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.log, "\n"))
		}
		early += w.early
	}
	require.Greater(t, early, 100, "acknowledged before the client knew that all was written")
}

func TestAMessageOfItsOwnIsTheSame(t *testing.T) {
	s := connectedScript(t, wire.V5)
	want := wire.Publish{Topic: "t", Payload: []byte("abc"), QoS: 1, PacketID: 1, Properties: &wire.PublishProperties{
		CorrelationData: []byte{}, UserProperties: []wire.UserProperty{{Name: "k", Value: "v"}},
	}}
	first := want
	o := &Outgoing{Publish: first}
	s.submit(o)
	s.want(&want)
	s.c.Sender.Own(o)
	first.Payload[0], first.Properties.UserProperties[0].Name = 'x', "changed"
	s.resume()
	want.Payload, want.Duplicate = []byte("abc"), true
	want.Properties = &wire.PublishProperties{CorrelationData: []byte{}, UserProperties: []wire.UserProperty{{Name: "k", Value: "v"}}}
	s.want(&want)
}

func TestPayloadThatIsTakenIsNotCopied(t *testing.T) {
	streamFrom(t, 6, 2)
	for _, qos := range []wire.QoS{0, 1} {
		s := connectedScript(t, wire.V5)
		payload := []byte("abcdefg")
		o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: payload, QoS: qos}}
		s.submit(o)
		require.True(t, s.c.Sender.Streams(o))
		require.Nil(t, s.c.Sender.TakePayload(o), "its head comes first")
		want := wire.Publish{Topic: "t", Payload: payload, QoS: qos}
		if qos > 0 {
			want.PacketID = 1
		}
		packet := s.encode(&want)
		require.Equal(t, packet[:len(packet)-len(payload)], s.c.TakeBefore(o, nil, s.now))
		rest := s.c.Sender.TakePayload(o)
		require.Same(t, &payload[0], &rest[0])
		next := s.publish("next", 0)
		require.Equal(t, "abcdefg", string(s.c.Sender.TakePayload(o)))

		s.c.Sender.WrotePayload(o, 3, s.now)
		require.Nil(t, s.c.Sender.TakePayload(o), "a copy of the next piece comes first")
		require.Equal(t, "de", string(s.c.TakeBefore(o, nil, s.now)))
		require.Equal(t, "fg", string(s.c.Sender.TakePayload(o)))
		s.c.Sender.WrotePayload(o, 2, s.now)
		require.False(t, s.c.Sender.Streams(o))
		if qos == 0 {
			s.wantCompleted(o, next)
		} else {
			s.wantCompleted(next)
		}
		s.wantAll(s.encode(pub(0, 0, "next")))
	}
}

func TestWhatWasTakenIsForgottenWithTheConnection(t *testing.T) {
	streamFrom(t, 6, 2)
	s := connectedScript(t, wire.V5)
	o := s.publish("abcdefg", 0)
	s.c.TakeBefore(o, nil, s.now)
	require.Equal(t, "abcdefg", string(s.c.Sender.TakePayload(o)))
	s.c.Lost(false)
	require.Equal(t, ErrConnectionLost, o.Result().Err)
	s.c.Sender.WrotePayload(o, 3, s.now)
	require.Nil(t, s.c.Sender.TakePayload(o))
	require.Zero(t, s.c.Pending())
}

func TestAcknowledgementMayComeBeforeWhatWasTakenIsSaidToBeWritten(t *testing.T) {
	streamFrom(t, 6, 2)
	for written, left := range map[int]string{7: "", 3: "defg"} {
		s := connectedScript(t, wire.V5)
		payload := []byte("abcdefg")
		o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: payload, QoS: 1}}
		s.submit(o)
		s.c.TakeBefore(o, nil, s.now)
		require.Equal(t, "abcdefg", string(s.c.Sender.TakePayload(o)))
		s.send(puback(1))
		s.wantCompleted(o)
		s.c.Sender.WrotePayload(o, written, s.now)
		copy(payload, "-------") // it is the caller's again
		next := s.publish("next", 0)
		s.wantAll(append([]byte(left), s.encode(pub(0, 0, "next"))...))
		s.wantCompleted(next)
	}
}

func TestTakeGoesOnWithAStreamWhoseHeadWasTakenAlone(t *testing.T) {
	streamFrom(t, 6, 2)
	s := connectedScript(t, wire.V5)
	o := s.publish("abcdefg", 0)
	s.c.TakeBefore(o, nil, s.now)
	require.Equal(t, "ab", string(s.takeOnce()))
	s.wantAll([]byte("cdefg"))
	s.wantCompleted(o)
}

// A message of which a part was sent cannot expire: it was completed twice.
func TestAMessageThatStreamsDoesNotExpire(t *testing.T) {
	streamFrom(t, 6, 2)
	s := connectedScript(t, wire.V5)
	o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: []byte("0123456789")}, Expires: new(s.now.Add(time.Second))}
	s.submit(o)
	s.takeOnce()
	s.now = s.now.Add(time.Minute)
	require.NoError(t, s.c.Tick(s.now))
	s.wantCompleted()
	for s.c.Pending() > 0 {
		s.takeOnce()
	}
	s.wantCompleted(o)
	require.NoError(t, o.Result().Err)
}
