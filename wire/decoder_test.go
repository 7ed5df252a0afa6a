package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// publishBytes returns the header and body of a PUBLISH.
func publishBytes(t testing.TB, p *Publish, v Version) (Header, []byte) {
	t.Helper()
	b, err := p.Append(nil, v)
	require.NoError(t, err)
	h, n, err := ParseHeader(b, v)
	require.NoError(t, err)
	return h, b[n:]
}

func TestAConnectTellsTheDecoderItsVersion(t *testing.T) {
	for _, v := range []Version{V31, V311, V5} {
		b, err := (&Connect{ClientID: "c"}).Append(nil, v)
		require.NoError(t, err)
		h, n, err := ParseHeader(b, 0)
		require.NoError(t, err)
		d := Decoder{From: FromClient}
		_, err = d.Decode(Header{Type: TypePingreq, Size: 2}, nil)
		require.Equal(t, ProtocolError, refusal(t, err), "before CONNECT")
		_, err = d.Decode(h, b[n:])
		require.NoError(t, err)
		require.Equal(t, v, d.Version)
	}
}

func TestAConnectIsJudgedByTheVersionItNames(t *testing.T) {
	decode := func(hex string) (Version, error) {
		b := unhex(t, hex)
		h, n, err := ParseHeader(b, 0)
		require.NoError(t, err)
		d := Decoder{From: FromClient}
		_, err = d.Decode(h, b[n:])
		return d.Version, err
	}
	v, err := decode("110f00044d5154540502003c0000026331")
	require.Equal(t, MalformedPacket, refusal(t, err), "header bits")
	require.Equal(t, V5, v, "known all the same")
	_, err = decode("108f0000044d5154540502003c0000026331")
	require.Equal(t, MalformedPacket, refusal(t, err), "length not in its shortest form")
	_, err = decode("108e0000044d5154540402003c00026331")
	require.NoError(t, err, "3.1.1 does not mind")
	_, err = decode("130f00064d51497364700303003c000163")
	require.NoError(t, err, "nor does 3.1 mind unused bits")

	v, err = decode("100e00044d5154540902003c00026331")
	require.Equal(t, UnsupportedProtocolVersion, refusal(t, err))
	require.Zero(t, v)
	_, err = decode("100e00044d5154548502003c00026331")
	require.Equal(t, UnsupportedProtocolVersion, refusal(t, err), "no bridges in 5.0")
}

func TestABridgeIsRecognized(t *testing.T) {
	p := &Connect{Version: V311, Bridge: true, CleanStart: true}
	b, err := p.Append(nil, V311)
	require.NoError(t, err)
	require.Equal(t, byte(0x84), b[8])
	again, err := decodePacket(b, 0, FromClient)
	require.NoError(t, err)
	require.Equal(t, p, again)
}

func TestAuthAlwaysNamesItsMethod(t *testing.T) {
	for _, hex := range []string{"f000", "f00118", "f0021800"} {
		_, err := decodePacket(unhex(t, hex), V5, FromServer)
		require.Equal(t, ProtocolError, refusal(t, err), hex)
	}
}

func TestAuthenticationDataNeedsAMethod(t *testing.T) {
	_, err := decodePacket(unhex(t, "200700000416000101"), V5, FromServer)
	require.Equal(t, ProtocolError, refusal(t, err))
}

func TestAnEmptyTopicNeedsAnAlias(t *testing.T) {
	for _, hex := range []string{"3003000000", "30050000020101"} {
		_, err := decodePacket(unhex(t, hex), V5, FromServer)
		require.Equal(t, ProtocolError, refusal(t, err), hex)
	}
}

func TestTypesThatAVersionLacksAreMalformed(t *testing.T) {
	d := Decoder{Version: V311}
	for _, h := range []Header{{Type: TypeAuth}, {Type: 0}} {
		_, err := d.Decode(h, nil)
		require.Equal(t, MalformedPacket, refusal(t, err))
	}
}

func TestATopicSeenBeforeIsTheSameString(t *testing.T) {
	d := Decoder{Version: V5}
	var p Publish
	for range 3 {
		for i := range 2 * maxTopics { // more than are remembered
			topic := fmt.Sprintf("topic/%d", i)
			h, body := publishBytes(t, &Publish{Topic: topic}, V5)
			require.NoError(t, d.Publish(&p, h, body))
			require.Equal(t, topic, p.Topic)
			require.LessOrEqual(t, len(d.topics.names), maxTopics)
		}
	}
	long := strings.Repeat("x", maxTopicLength+1)
	h, body := publishBytes(t, &Publish{Topic: long}, V5)
	require.NoError(t, d.Publish(&p, h, body))
	require.Equal(t, long, p.Topic)
	require.NotContains(t, d.topics.names, long)
}

func TestPublishOverwritesEverything(t *testing.T) {
	d := Decoder{Version: V5}
	full := &Publish{Topic: "a", Payload: []byte("x"), Properties: &PublishProperties{TopicAlias: 1}, PacketID: 1, QoS: 2, Retain: true, Duplicate: true}
	var p Publish
	h, body := publishBytes(t, full, V5)
	require.NoError(t, d.Publish(&p, h, body))
	require.Equal(t, *full, p)
	h, body = publishBytes(t, &Publish{Topic: "b"}, V5)
	require.NoError(t, d.Publish(&p, h, body))
	require.Equal(t, Publish{Topic: "b", Payload: []byte{}}, p)

	ack := Puback{ReasonCode: NotAuthorized, ReasonString: "s", UserProperties: []UserProperty{{}}}
	require.NoError(t, d.Puback(&ack, Header{}, []byte{0, 7}))
	require.Equal(t, Puback{PacketID: 7}, ack)
}

func TestDecodedPropertiesStayUntilRecycled(t *testing.T) {
	d := Decoder{Version: V5}
	decoded := make([]Publish, 100)
	for round := range 3 {
		for i := range decoded {
			ids := make([]uint32, i%6+1) // more than an entry has room for, too
			for k := range ids {
				ids[k] = uint32(i + k + 1)
			}
			sent := &Publish{Topic: "a", Properties: &PublishProperties{SubscriptionIDs: ids, MessageExpiryInterval: new(uint32(i))}}
			h, body := publishBytes(t, sent, V5)
			require.NoError(t, d.Publish(&decoded[i], h, body))
		}
		for i := range decoded {
			require.Equal(t, uint32(i), *decoded[i].Properties.MessageExpiryInterval)
			require.Len(t, decoded[i].Properties.SubscriptionIDs, i%6+1)
			require.Equal(t, uint32(i+1), decoded[i].Properties.SubscriptionIDs[0], "round %d", round)
		}
		d.Recycle()
	}
	for range quietRecycles {
		require.Len(t, d.arena.chunk, len(decoded), "one chunk that fits, also after a read of other packets")
		d.Recycle()
	}
	require.Empty(t, d.arena.chunk, "nothing was taken: no need for it now")
}

// The memory of a message with nothing but a subscription identifier is used again as it is.
func TestSubscriptionIdentifiersAreNotThoseOfAnEarlierMessage(t *testing.T) {
	d := Decoder{Version: V5}
	var p Publish
	for _, test := range []struct{ sent, want PublishProperties }{
		{PublishProperties{ContentType: "t"}, PublishProperties{ContentType: "t"}},
		{PublishProperties{ContentType: "t", SubscriptionIDs: []uint32{8}}, PublishProperties{ContentType: "t", SubscriptionIDs: []uint32{8}}},
	} {
		h, body := publishBytes(t, &Publish{Topic: "a", Properties: &PublishProperties{SubscriptionIDs: []uint32{7}}}, V5)
		require.NoError(t, d.Publish(&p, h, body))
		d.Recycle()
		h, body = publishBytes(t, &Publish{Topic: "a", Properties: &test.sent}, V5)
		require.NoError(t, d.Publish(&p, h, body))
		require.Equal(t, test.want, *p.Properties)
		d.Recycle()
	}
}

func TestPayloadsAliasTheBodyAndCanNotBeAppendedInto(t *testing.T) {
	sent := &Publish{Topic: "a", Payload: []byte("payload"), Properties: &PublishProperties{CorrelationData: []byte("data"), ContentType: "t"}}
	h, body := publishBytes(t, sent, V5)
	d := Decoder{Version: V5}
	var p Publish
	require.NoError(t, d.Publish(&p, h, body))
	require.Same(t, &body[len(body)-1], &p.Payload[len(p.Payload)-1])
	_ = append(p.Properties.CorrelationData, 'X')
	require.Equal(t, "t", p.Properties.ContentType)
	require.NoError(t, d.Publish(&p, h, body), "the body is as it was")
}

func TestErrorsCarryTheirReason(t *testing.T) {
	_, err := decodePacket([]byte{0x36, 0}, V5, FromServer)
	require.EqualError(t, err, "PUBLISH: QoS 3: malformed packet (0x81)")
	require.ErrorIs(t, err, MalformedPacket)
	require.False(t, errors.Is(err, ProtocolError))

	_, err = (&Publish{}).Append(nil, V5)
	require.EqualError(t, err, "PUBLISH: Topic is empty")
}

func TestNames(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"auto": Version(0), "3.1": V31, "3.1.1": V311, "5.0": V5, "protocol level 9": Version(9),
		"CONNECT": TypeConnect, "AUTH": TypeAuth, "packet type 0": PacketType(0),
		"Not authorized": NotAuthorized, "reason code 0x7B": ReasonCode(0x7b),
		"server": FromServer, "client": FromClient,
	} {
		require.Equal(t, want, got.String())
	}
	require.EqualError(t, NotAuthorized, "not authorized (0x87)")
	require.EqualError(t, QoSNotSupported, "QoS not supported (0x9B)")
	require.EqualError(t, ReasonCode(0x7b), "reason code 0x7B")
	require.True(t, UnspecifiedError.Failed())
	require.False(t, NoMatchingSubscribers.Failed())

	defined := 0
	for code := range 256 {
		if reasonTable[code].name != "" {
			defined++
		}
	}
	require.Equal(t, 43, defined)
}

func TestASubscriptionIdentifierAloneAndInCompany(t *testing.T) {
	var d Decoder
	d.Version, d.From = V5, FromServer
	for _, id := range []uint32{1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455} {
		for _, company := range []PublishProperties{{}, {ContentType: "text"}, {PayloadFormatUTF8: true}} {
			want := company
			want.SubscriptionIDs = []uint32{id}
			sent := Publish{Topic: "a/b", Payload: []byte("x"), Properties: &want}
			var got Publish
			h, body := publishBytes(t, &sent, V5)
			require.NoError(t, d.Publish(&got, h, body))
			require.Equal(t, sent, got)
		}
		d.Recycle()
	}
}

func TestABadSubscriptionIdentifierIsRefusedAlone(t *testing.T) {
	d := Decoder{Version: V5, From: FromServer}
	for name, block := range map[string][]byte{
		"zero":                {2, 0x0b, 0},
		"not in its shortest": {3, 0x0b, 0x81, 0},
		"longer than a block": {2, 0x0b, 0x81, 1},
		"cut off":             {3, 0x0b, 0x81},
		"five bytes":          {6, 0x0b, 0xff, 0xff, 0xff, 0xff, 1},
		"bytes left":          {3, 0x0b, 1, 0},
	} {
		body := append([]byte{0, 1, 'a'}, block...)
		require.Error(t, d.Publish(new(Publish), Header{Type: TypePublish, Length: len(body), Size: len(body) + 2}, body), name)
	}
	d.From = FromClient
	body := []byte{0, 1, 'a', 2, 0x0b, 1}
	require.ErrorIs(t, d.Publish(new(Publish), Header{Type: TypePublish, Length: len(body), Size: len(body) + 2}, body), ProtocolError)
}
