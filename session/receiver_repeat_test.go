package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// openExchange brings a QoS 2 message under identifier 7 as far as stage says, on a connection
// of its own.
func openExchange(s *script, stage string) {
	s.send(pub(7, 2, "old"))
	tokens := s.wantMessages("old")
	switch stage {
	case "handed out":
		s.lose()
	case "acknowledged without a connection":
		s.lose()
		s.ack(tokens...)
	case "after PUBREC":
		s.ack(tokens...)
		s.want(pubrec(7))
		s.lose()
	}
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
}

var stages = []string{"handed out", "acknowledged without a connection", "after PUBREC"}

// A peer that has lost its state begins with its identifiers anew.
func TestOtherContentWithoutDupInAResumedSessionIsANewMessage(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		for _, stage := range stages {
			t.Run(fmt.Sprint(v, " ", stage), func(t *testing.T) {
				s := connectedScript(t, v)
				openExchange(s, stage)
				s.send(pub(7, 2, "new"))
				s.ack(s.wantMessages("new")...)
				s.want(pubrec(7))
				// It is the message of the exchange now, and the rules are those of one.
				s.send(dup(7, 2, "new"), pub(7, 2, "newer"))
				s.wantMessages()
				s.want(pubrec(7), pubrec(7))
				s.send(pubrel(7))
				s.want(pubcomp(7))
				require.Zero(t, s.c.Receiver.Unfinished())
			})
		}
	}
}

func TestTheSameContentWithoutDupInAResumedSessionIsARepeatAtQoS2(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		for _, stage := range stages {
			t.Run(fmt.Sprint(v, " ", stage), func(t *testing.T) {
				s := connectedScript(t, v)
				openExchange(s, stage)
				s.send(pub(7, 2, "old"))
				s.wantMessages()
				if stage == "handed out" {
					s.wantIdle()
					return
				}
				s.want(pubrec(7))
				s.send(pubrel(7))
				s.want(pubcomp(7))
				require.Zero(t, s.c.Receiver.Unfinished())
			})
		}
	}
}

func TestTheTokenOfARepeatWithoutDupStaysGood(t *testing.T) {
	s := connectedScript(t, wire.V311)
	s.send(pub(7, 2, "once"))
	tokens := s.wantMessages("once")
	s.resume()
	s.send(pub(7, 2, "once"))
	s.wantMessages()
	s.ack(tokens...)
	s.want(pubrec(7))
}

// A duplicate is allowed at QoS 1, a loss is not.
func TestTheSameContentWithoutDupInAResumedSessionIsNewAtQoS1(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.send(pub(7, 1, "on"))
	s.wantMessages("on")
	s.resume()
	s.send(pub(7, 1, "on"))
	s.ack(s.wantMessages("on")...)
	s.want(puback(7))
}

// [MQTT-4.3.3-10] DUP says that it is the message of before.
func TestARepeatWithDupAfterPubrecGoesByItsIdentifier(t *testing.T) {
	s := connectedScript(t, wire.V5)
	openExchange(s, "after PUBREC")
	s.send(dup(7, 2, "other"))
	s.wantMessages()
	s.want(pubrec(7))
	s.resume()
	s.send(pub(7, 2, "new"))
	s.ack(s.wantMessages("new")...)
	s.want(pubrec(7))
}

func TestWhatAPublishOfOneConnectionHasToBeTheSameIn(t *testing.T) {
	base := func() *wire.Publish {
		p := pub(7, 2, "x")
		p.Properties = &wire.PublishProperties{
			ContentType: "c", ResponseTopic: "r", CorrelationData: []byte("d"),
			UserProperties: []wire.UserProperty{{Name: "a", Value: "b"}, {Name: "c", Value: "d"}},
		}
		return p
	}
	for name, test := range map[string]struct {
		change func(p *wire.Publish)
		fresh  bool
	}{
		"nothing":        {func(*wire.Publish) {}, false},
		"message expiry": {func(p *wire.Publish) { p.Properties.MessageExpiryInterval = new(uint32(5)) }, false},
		"topic alias":    {func(p *wire.Publish) { p.Properties.TopicAlias = 3 }, false},
		"subscription":   {func(p *wire.Publish) { p.Properties.SubscriptionIDs = []uint32{7} }, false},
		"retain":         {func(p *wire.Publish) { p.Retain = true }, false},
		"payload":        {func(p *wire.Publish) { p.Payload = []byte("y") }, true},
		"topic":          {func(p *wire.Publish) { p.Topic += "y" }, true},
		"format":         {func(p *wire.Publish) { p.Properties.PayloadFormatUTF8 = true }, true},
		"content type":   {func(p *wire.Publish) { p.Properties.ContentType = "" }, true},
		"response topic": {func(p *wire.Publish) { p.Properties.ResponseTopic = "s" }, true},
		"correlation":    {func(p *wire.Publish) { p.Properties.CorrelationData = []byte{} }, true},
		"none":           {func(p *wire.Publish) { p.Properties.CorrelationData = nil }, true},
		"user property":  {func(p *wire.Publish) { p.Properties.UserProperties[1].Value = "e" }, true},
		"their order": {func(p *wire.Publish) {
			u := p.Properties.UserProperties
			u[0], u[1] = u[1], u[0]
		}, true},
		"all properties": {func(p *wire.Publish) { p.Properties = nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := keeping(wire.V5)
			p.TopicAliasMaximum = 5
			s := newScript(t, wire.V5, ClientSettings{})
			s.up(p, &wire.Connack{})
			first := base()
			s.send(first)
			s.ack(s.wantMessages("x")...)
			s.want(pubrec(7))
			s.lose()
			s.up(p, &wire.Connack{SessionPresent: true})
			again := base()
			test.change(again)
			s.send(again)
			require.Len(t, s.c.Received(), map[bool]int{true: 1}[test.fresh])
			require.Equal(t, !test.fresh, DigestOf(first, wire.V5).same(DigestOf(again, wire.V5)))
		})
	}
}

// A session that goes on with another version has lost the properties of its messages.
func TestARepeatInAnotherVersionIsOne(t *testing.T) {
	s := connectedScript(t, wire.V5)
	p := pub(7, 2, "x")
	p.Properties = &wire.PublishProperties{ContentType: "c"}
	s.send(p)
	s.wantMessages("x")
	s.lose()
	s.v = wire.V311
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
	s.send(pub(7, 2, "x"))
	s.wantMessages()
}

// [MQTT-4.3.3-10] where the session began on this connection.
func TestASessionThatIsNotResumedIsStrict(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.send(pub(7, 2, "a"))
		s.ack(s.wantMessages("a")...)
		s.want(pubrec(7))
		s.send(pub(7, 2, "b"))
		s.wantMessages()
		s.want(pubrec(7))
		if v == wire.V31 {
			return // its CONNACK does not say that the session is new
		}
		s.renew()
		s.send(pub(7, 2, "a"))
		s.ack(s.wantMessages("a")...)
		s.want(pubrec(7))
	})
}

// A peer without state that clears an identifier before it uses it may come when the
// message of before has not been acknowledged yet.
func TestPubrelOnALaterConnectionClearsAnIdentifier(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		for _, stage := range stages {
			t.Run(fmt.Sprint(v, " ", stage), func(t *testing.T) {
				s := connectedScript(t, v)
				openExchange(s, stage)
				s.send(pubrel(7))
				s.want(pubcomp(7))
				s.send(pub(7, 2, "old"))
				s.ack(s.wantMessages("old")...)
				s.want(pubrec(7))
			})
		}
		s := connectedScript(t, v)
		s.send(pub(7, 1, "one"))
		tokens := s.wantMessages("one")
		s.resume()
		s.send(pubrel(7))
		if v == wire.V5 {
			s.want(&wire.Pubcomp{PacketID: 7, ReasonCode: wire.PacketIdentifierNotFound})
		} else {
			s.want(pubcomp(7))
		}
		s.send(dup(7, 1, "one"))
		s.wantMessages()
		s.ack(tokens...)
		s.want(puback(7))
	}
}

func TestARestoredIdentifierKnowsItsMessage(t *testing.T) {
	message := &wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 2, PacketID: 5}
	for name, test := range map[string]struct {
		digest  Digest
		payload string
		again   bool
		deliver bool
	}{
		"the same":               {DigestOf(message, wire.V5), "x", false, false},
		"the same before 5.0":    {DigestOf(message, wire.V311), "x", false, false},
		"other content":          {DigestOf(message, wire.V5), "y", false, true},
		"other content with DUP": {DigestOf(message, wire.V5), "y", true, false},
		"unknown":                {Digest{}, "y", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorder(t)
			r.receiver.RestoreDigest(5, test.digest)
			r.start()
			deliver, token, err := r.receiver.Publish(&wire.Publish{Topic: "a", Payload: []byte(test.payload), QoS: 2, PacketID: 5, Duplicate: test.again})
			require.NoError(t, err)
			require.Equal(t, test.deliver, deliver)
			if deliver {
				require.Equal(t, []uint16{5}, r.receiver.Discards(nil), "its record is not that of the new message")
				require.NoError(t, r.receiver.Ack(token, wire.Success))
			}
			r.wantSent(&wire.Pubrec{PacketID: 5})
		})
	}
}

// What had no digest is known by that of its repeat.
func TestARestoredIdentifierLearnsFromItsRepeat(t *testing.T) {
	r := newRecorder(t)
	r.receiver.Restore(5)
	r.start()
	deliver, _ := r.receive(5, true)
	require.False(t, deliver)
	r.stop()
	r.start()
	deliver, _, err := r.receiver.Publish(&wire.Publish{Topic: "b", QoS: 2, PacketID: 5})
	require.NoError(t, err)
	require.True(t, deliver)
}

// PUBCOMP waits for the record even if PUBREL came early, and the token is stale.
func TestAnEarlyPubrelWaitsForTheRecord(t *testing.T) {
	r := newRecorder(t)
	r.start()
	_, token := r.receive(5, false)
	require.True(t, r.receiver.Remember(token))
	r.stop()
	r.start()
	require.NoError(t, r.receiver.Pubrel(&wire.Pubrel{PacketID: 5}))
	r.wantSent()
	require.ErrorIs(t, r.receiver.Ack(token, wire.Success), ErrStale)
	require.Equal(t, []uint16{5}, r.receiver.Discards(nil))
	r.receiver.Discarded(5)
	r.wantSent(&wire.Pubcomp{PacketID: 5})
	deliver, _ := r.receive(5, false)
	require.True(t, deliver)
}

func TestPropertiesAreDigestedWithoutAllocating(t *testing.T) {
	p := &wire.Publish{Topic: "a", Payload: make([]byte, 100), Properties: &wire.PublishProperties{
		ContentType: "c", CorrelationData: make([]byte, 100), UserProperties: []wire.UserProperty{{Name: "a", Value: "b"}},
	}}
	d := Digest{}
	require.Zero(t, testing.AllocsPerRun(100, func() { d = inMemory.digest(p, wire.V5) }))
	require.NotZero(t, d)
}
