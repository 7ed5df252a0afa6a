package session

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// tolerated are the vectors that a strict client refuses and a tolerant one does not,
// and what it makes of them. docs/tolerance.md says why.
var tolerated = map[string]string{
	"v311.connack.008":  "accepted", // session present 1 although clean session 1 was sent
	"v311.connack.011":  "said",     // return code 6 is reserved
	"v311.pubrec.005":   "accepted", // remaining length 4: 3.1.1 has no reason code or properties
	"v311.suback.003":   "accepted", // return code 3
	"v311.suback.004":   "accepted", // return code 0x87: a 5.0 code
	"v311.unsuback.002": "accepted", // remaining length 3: 3.1.1 has no payload
	"v5.connack.012":    "accepted", // maximum packet size = 0
	"v5.connack.018":    "accepted", // session present 1 although clean start 1 was sent
	"v5.connack.022":    "said",     // reason code 0x01 (not a 5.0 code)
	"v5.connack.023":    "said",     // reason code 0x8E is not a CONNACK code
	"v5.disconnect.013": "said",     // 0x04 is a client-only code
	"v5.disconnect.014": "said",     // undefined reason code 0x01
	"v5.puback.007":     "accepted", // undefined reason code 0x01
	"v5.puback.008":     "accepted", // reason code of another packet (0x8E)
	"v5.pubcomp.007":    "accepted", // reason code of another packet (0x8E)
	"v5.pubrec.007":     "accepted", // undefined reason code 0x01
	"v5.pubrec.008":     "accepted", // reason code of another packet (0x8E)
	"v5.pubrel.007":     "accepted", // reason code of another packet (0x8E)
	"v5.suback.004":     "accepted", // undefined reason code 0x03
	"v5.suback.005":     "accepted", // reason code of another packet (0x11)
	"v5.unsuback.005":   "accepted", // no reason code
	"v5.unsuback.006":   "accepted", // identifier only (the 3.1.1 shape)
}

func TestToleratedVectors(t *testing.T) {
	found := map[string]string{}
	for _, x := range readServerVectors(t) {
		t.Run(x.ID, func(t *testing.T) {
			strict, told := x.verdict(t, false)
			require.Zero(t, told)
			tolerant, told := x.verdict(t, true)
			if strict != tolerant {
				require.Equal(t, "refused", strict)
				require.NotZero(t, told, "it is told")
				found[x.ID] = tolerant
			}
		})
	}
	require.Equal(t, tolerated, found)
}

// verdict hands the vector to a client the way a connection does.
func (x *serverVector) verdict(t *testing.T, tolerant bool) (verdict string, told int) {
	t.Helper()
	var tolerate func(*wire.Error)
	if tolerant {
		tolerate = func(*wire.Error) { told++ }
	}
	s := x.script(t, tolerate)
	told = 0
	r := wire.NewReader(bytes.NewReader(x.bytes(t)), s.v, 0)
	err := r.Fill()
	if err == nil {
		err = s.c.HandleBuffered(r, s.now)
	}
	if _, fault := errors.AsType[*wire.Error](err); fault {
		return "refused", told
	}
	if _, said := errors.AsType[*ServerError](err); said {
		return "said", told
	}
	return "accepted", told
}

// tolerantScript is connectedScript for a client that is told of mistakes.
func tolerantScript(t *testing.T, v wire.Version) (s *script, told *[]string) {
	t.Helper()
	told = new([]string)
	s = newScript(t, v, ClientSettings{Tolerate: func(fault *wire.Error) { *told = append(*told, fault.Error()) }})
	s.up(keeping(v), &wire.Connack{})
	return s, told
}

func TestPubackForQoS2EndsTheExchange(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311} {
		s, told := tolerantScript(t, v)
		two, one := s.publish("two", 2), s.publish("one", 1)
		s.want(pub(1, 2, "two"), pub(2, 1, "one"))
		s.send(&wire.Puback{PacketID: 1}, &wire.Puback{PacketID: 2})
		s.wantCompleted(two, one)
		require.NoError(t, two.Result().Err)
		require.Len(t, *told, 1)
		s.wantIdle()
		s.send(&wire.Pubrec{PacketID: 1}) // late; it means nothing any more
		s.skip()

		// Repeated on another connection it is answered in the same way.
		again := s.publish("again", 2)
		s.skip()
		s.resume()
		p := pub(3, 2, "again")
		p.Duplicate = true
		s.want(p)
		s.send(&wire.Puback{PacketID: 3})
		s.wantCompleted(again)
	}
}

func TestPubackForQoS2MayRefuse(t *testing.T) {
	s, _ := tolerantScript(t, wire.V311)
	two := s.publish("two", 2)
	s.skip()
	s.readTolerantly("40 03 00 01 97")
	s.wantCompleted(two)
	require.ErrorIs(t, two.Result().Err, wire.QuotaExceeded)
}

// TestPubackForQoS2IsAnErrorWhereTheServerKnowsBetter: in 5.0 it announces its maximum,
// and after PUBREC it mixes up the two halves.
func TestPubackForQoS2IsAnErrorWhereTheServerKnowsBetter(t *testing.T) {
	s, _ := tolerantScript(t, wire.V5)
	s.publish("two", 2)
	s.skip()
	s.sendBad(wire.ProtocolError, &wire.Puback{PacketID: 1})

	s, _ = tolerantScript(t, wire.V311)
	s.publish("two", 2)
	s.skip()
	s.send(&wire.Pubrec{PacketID: 1})
	s.sendBad(wire.ProtocolError, &wire.Puback{PacketID: 1})
}

func TestPubrecForQoS1IsReleased(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311, wire.V5} {
		s, told := tolerantScript(t, v)
		one := s.publish("one", 1)
		s.skip()
		s.send(&wire.Pubrec{PacketID: 1})
		s.want(&wire.Pubrel{PacketID: 1})
		s.resume()
		s.want(&wire.Pubrel{PacketID: 1})
		s.send(&wire.Pubcomp{PacketID: 1})
		s.wantCompleted(one)
		require.NoError(t, one.Result().Err)
		require.Len(t, *told, 1)
	}
}

func TestReasonsThatAVersionDoesNotHave(t *testing.T) {
	for name, test := range map[string]struct {
		v      wire.Version
		qos    wire.QoS
		answer string
		reason wire.ReasonCode // 0: success
	}{
		"PUBACK, unknown failure":            {wire.V5, 1, "40 03 00 01 8f", 0x8f},
		"PUBACK, unknown success":            {wire.V5, 1, "40 03 00 01 02", 0},
		"PUBACK of 5.0 at 3.1.1":             {wire.V311, 1, "40 03 00 01 87", wire.NotAuthorized},
		"PUBACK of 5.0 at 3.1.1, success":    {wire.V311, 1, "40 04 00 01 00 00", 0},
		"PUBREC, unknown failure":            {wire.V5, 2, "50 03 00 01 8f", 0x8f},
		"PUBREC of 5.0 at 3.1.1":             {wire.V311, 2, "50 03 00 01 97", wire.QuotaExceeded},
		"PUBACK with a failure and no block": {wire.V5, 1, "40 03 00 01 97", wire.QuotaExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := tolerantScript(t, test.v)
			o := s.publish("x", test.qos)
			s.skip()
			s.readTolerantly(test.answer)
			s.wantCompleted(o)
			if test.reason == 0 {
				require.NoError(t, o.Result().Err)
			} else {
				require.ErrorIs(t, o.Result().Err, test.reason)
			}
		})
	}
}

// readTolerantly is the server sending what no encoder makes.
func (s *script) readTolerantly(text string) {
	s.t.Helper()
	r := wire.NewReader(bytes.NewReader(unhex(s.t, text)), s.v, 0)
	require.NoError(s.t, r.Fill())
	require.NoError(s.t, s.c.HandleBuffered(r, s.now))
	s.check()
}

func TestAnswersToRequestsThatAreNotQuiteRight(t *testing.T) {
	unspecified := wire.UnspecifiedError
	for name, test := range map[string]struct {
		v       wire.Version
		request *Request
		answer  string
		codes   []wire.ReasonCode
	}{
		"code 8":                 {wire.V311, subscribe("a"), "90 03 00 01 08", []wire.ReasonCode{unspecified}},
		"code of 5.0":            {wire.V311, subscribe("a"), "90 03 00 01 87", []wire.ReasonCode{wire.NotAuthorized}},
		"unknown failure":        {wire.V5, subscribe("a"), "90 04 00 01 00 fe", []wire.ReasonCode{0xfe}},
		"unknown success":        {wire.V5, subscribe("a"), "90 04 00 01 00 11", []wire.ReasonCode{unspecified}},
		"UNSUBACK of 3.1.1":      {wire.V5, unsubscribe("a", "b"), "b0 02 00 01", []wire.ReasonCode{0, 0}},
		"UNSUBACK without codes": {wire.V5, unsubscribe("a"), "b0 03 00 01 00", []wire.ReasonCode{0}},
		"UNSUBACK of 5.0":        {wire.V311, unsubscribe("a"), "b0 04 00 01 00 00", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, told := tolerantScript(t, test.v)
			s.request(test.request)
			s.skip()
			s.readTolerantly(test.answer)
			require.Equal(t, []*Request{test.request}, s.c.Answered(nil))
			require.NoError(t, test.request.Err)
			require.Equal(t, test.codes, test.request.ReasonCodes)
			require.NotEmpty(t, *told)
			require.True(t, s.c.Connected())
		})
	}
}

func TestSecondConnack(t *testing.T) {
	first := &wire.Connack{ReceiveMaximum: 5}
	for name, test := range map[string]struct {
		v      wire.Version
		second string
		want   any
	}{
		"the same":             {wire.V5, "20 06 00 00 03 21 00 05", new(*wire.Error)},
		"another limit":        {wire.V5, "20 06 00 00 03 21 00 06", new(*wire.Error)},
		"another session":      {wire.V311, "20 02 01 00", new(*wire.Error)},
		"a refusal":            {wire.V5, "20 03 00 87 00", new(*ServerError)},
		"a refusal of 3.1.1":   {wire.V311, "20 02 00 05", new(*ServerError)},
		"a refusal, old shape": {wire.V5, "20 02 00 05", new(*ServerError)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, test.v, ClientSettings{Tolerate: func(*wire.Error) {}})
			ack := *first
			if test.v != wire.V5 {
				ack = wire.Connack{}
			}
			s.up(keeping(test.v), &ack)
			err := s.receive(unhex(t, test.second))
			require.ErrorAs(t, err, test.want)
			if said, ok := errors.AsType[*ServerError](err); ok {
				require.ErrorIs(t, said, wire.NotAuthorized)
			}
		})
	}
}

// TestSessionPresentAfterACleanStart is taken for the session of nobody: what it may
// hold is released before an identifier is used.
func TestSessionPresentAfterACleanStart(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := newScript(t, v, ClientSettings{Tolerate: func(*wire.Error) {}})
		p := keeping(v)
		p.CleanStart = true
		s.up(p, &wire.Connack{SessionPresent: true})
		require.Equal(t, Inherited, s.c.Continuity())
		require.True(t, s.c.Connack().SessionPresent)
	}
}

func TestUnaskedAliasBesideATopic(t *testing.T) {
	s, told := tolerantScript(t, wire.V5)
	p := pub(1, 1, "x")
	p.Properties = &wire.PublishProperties{TopicAlias: 7}
	s.send(p)
	s.wantMessages("x")
	require.Len(t, *told, 1)
	// It has set nothing.
	p = pub(2, 1, "y")
	p.Topic, p.Properties = "", &wire.PublishProperties{TopicAlias: 7}
	s.sendBad(wire.TopicAliasInvalid, p)
}
