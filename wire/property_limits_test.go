package wire

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// manyProperties is a PUBLISH of so many empty user properties behind a topic alias.
func manyProperties(n int) (Header, []byte) {
	block := append([]byte{byte(propTopicAlias), 0, 7}, bytes.Repeat([]byte{byte(propUserProperty), 0, 0, 0, 0}, n)...)
	body := append(appendVarint([]byte{0, 1, 'x', 0, 9}, len(block)), block...)
	body = append(body, "payload"...)
	return Header{Type: TypePublish, Flags: 2, Length: len(body)}, body
}

func TestTooManyPropertiesCostNothingAndThePublishCanBeAnswered(t *testing.T) {
	for what, d := range map[string]*Decoder{
		"by default": {Version: V5},
		"number":     {Version: V5, MaxElements: 10},
		"bytes":      {Version: V5, MaxPropertyBytes: 100},
	} {
		h, body := manyProperties(1 << 20)
		var p Publish
		var err error
		require.Less(t, allocated(func() { err = d.Publish(&p, h, body) }), uint64(64<<10), what)
		require.Equal(t, QuotaExceeded, refusal(t, err), what)
		require.Equal(t, Publish{Topic: "x", QoS: 1, PacketID: 9, Payload: []byte("payload"), Properties: &PublishProperties{TopicAlias: 7}}, p)
	}
}

func TestAsManyPropertiesAsAllowedAreTaken(t *testing.T) {
	for _, n := range []int{1, 2, 100} {
		d := Decoder{Version: V5, MaxElements: n, MaxPropertyBytes: 3 + 5*n}
		var p Publish
		h, body := manyProperties(n)
		require.NoError(t, d.Publish(&p, h, body))
		require.Len(t, p.Properties.UserProperties, n)
		h, body = manyProperties(n + 1)
		require.Equal(t, QuotaExceeded, refusal(t, d.Publish(&p, h, body)))
		require.Empty(t, p.Properties.UserProperties)
	}
}

func TestPropertiesTakeFewPiecesOfMemory(t *testing.T) {
	for _, size := range []int{0, 1, 40, 1000} {
		var sent Publish
		sent.Topic, sent.Properties = "t", &PublishProperties{UserProperties: slices.Repeat([]UserProperty{{strings.Repeat("n", size), strings.Repeat("v", size)}}, 5000)}
		h, body := publishBytes(t, &sent, V5)
		d := Decoder{Version: V5}
		var p Publish
		taken := int(allocated(func() { require.NoError(t, d.Publish(&p, h, body)) }))
		require.Equal(t, sent.Properties.UserProperties, p.Properties.UserProperties)
		require.LessOrEqual(t, taken, p.Cost()+p.Cost()/4+16<<10, "of %d bytes", size)
		require.LessOrEqual(t, testing.AllocsPerRun(3, func() { d.Recycle(); d.Publish(&p, h, body) }), 3.0)
	}
}

func TestADecoderThatWaitsKeepsNothingLarge(t *testing.T) {
	h, body := manyProperties(60_000)
	const n = 50
	decoders := make([]Decoder, n)
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	for i := range decoders {
		decoders[i] = Decoder{Version: V5, From: FromClient}
		var p Publish
		require.NoError(t, decoders[i].Publish(&p, h, body))
		decoders[i].Recycle()
		long := &Publish{Topic: strings.Repeat("x", 60_000)}
		h, body := publishBytes(t, long, V5)
		require.NoError(t, decoders[i].Publish(&p, h, body))
	}
	require.Less(t, heap()-before, n*16<<10)
	runtime.KeepAlive(decoders)
}

func TestKnownTopicsOfAClientTakeABoundedNumberOfBytes(t *testing.T) {
	for from, most := range map[Sender]int{FromClient: maxClientTopicBytes, FromServer: maxTopicBytes} {
		d := Decoder{Version: V5, From: from}
		for i := range 20_000 {
			h, body := publishBytes(t, &Publish{Topic: fmt.Sprintf("%0200d", i)}, V5)
			var p Publish
			require.NoError(t, d.Publish(&p, h, body))
			require.LessOrEqual(t, d.topics.bytes, most)
		}
		require.Equal(t, len(d.topics.names)*(200+topicOverhead), d.topics.bytes)
	}
}

func TestEveryPacketBoundsItsProperties(t *testing.T) {
	block := bytes.Repeat([]byte{byte(propUserProperty), 0, 0, 0, 0}, 20)
	block = append(appendVarint(nil, len(block)), block...)
	for typ, hex := range map[PacketType]string{
		TypeConnack: "0000", TypePuback: "000100", TypePubrec: "000100", TypePubrel: "000100", TypePubcomp: "000100",
		TypeSuback: "0001", TypeUnsuback: "0001", TypeDisconnect: "00", TypeAuth: "18",
		TypeSubscribe: "0001", TypeUnsubscribe: "0001", TypeConnect: "00044d5154540502003c",
	} {
		body := append(unhex(t, hex), block...)
		for _, from := range []Sender{FromClient, FromServer} {
			if from == FromClient && clientNever(typ) || from == FromServer && serverNever(typ) {
				continue
			}
			_, err := (&Decoder{Version: V5, From: from, MaxElements: 19}).Decode(Header{Type: typ, Length: len(body), Size: packetSize(len(body))}, body)
			require.Equal(t, QuotaExceeded, refusal(t, err), typ)
		}
	}
}

func clientNever(t PacketType) bool { return serverOnly.has(t) }
func serverNever(t PacketType) bool { return clientOnly.has(t) }

func TestFiltersOfAPacketAreBounded(t *testing.T) {
	body := append([]byte{0, 1, 0}, bytes.Repeat([]byte{0, 1, 'a', 0}, defaultElements+1)...)
	d := Decoder{Version: V5, From: FromClient}
	require.Less(t, allocated(func() {
		_, err := d.Decode(Header{Type: TypeSubscribe, Flags: 2, Length: len(body)}, body)
		require.Equal(t, QuotaExceeded, refusal(t, err))
	}), uint64(64<<10))
	packet, err := d.Decode(Header{Type: TypeSubscribe, Flags: 2, Length: len(body) - 4}, body[:len(body)-4])
	require.NoError(t, err)
	require.Len(t, packet.(*Subscribe).Filters, defaultElements)

	body = append([]byte{0, 1, 0}, bytes.Repeat([]byte{0, 1, 'a'}, defaultElements+1)...)
	_, err = d.Decode(Header{Type: TypeUnsubscribe, Flags: 2, Length: len(body)}, body)
	require.Equal(t, QuotaExceeded, refusal(t, err))
}

func TestBlocksThatMakeNoSenseAreMeasuredWithoutHarm(t *testing.T) {
	for _, hex := range []string{"26", "2600", "260001", "26000161ff", "2600016100", "0b", "0bffffffff", "ff", "00", "21", "16ffff"} {
		require.Zero(t, measure(unhex(t, hex)), hex)
	}
	require.Equal(t, measures{repeated: 2, pairs: 1, text: 3}, measure(unhex(t, "0b0726000161000262630100020000000103000178")))
}

// FuzzPropertyLimits compares what a decoder with limits takes with what one without them does.
func FuzzPropertyLimits(f *testing.F) {
	for _, n := range []int{0, 1, 5, 100} {
		_, body := manyProperties(n)
		f.Add(body[5:], uint8(4), uint8(100))
	}
	f.Fuzz(func(t *testing.T, block []byte, elements, size uint8) {
		body := append([]byte{0, 1, 'x'}, block...)
		h := Header{Type: TypePublish, Length: len(body)}
		free := Decoder{Version: V5}
		bound := Decoder{Version: V5, MaxElements: int(elements), MaxPropertyBytes: int(size)}
		var p, q Publish
		all, some := free.Publish(&p, h, body), bound.Publish(&q, h, body)
		if all != nil || some == nil || !errors.Is(some, QuotaExceeded) {
			require.Equal(t, all, some)
			require.True(t, all != nil || p.Properties == nil || elements == 0 || len(p.Properties.UserProperties)+len(p.Properties.SubscriptionIDs) <= int(elements))
			return
		}
		p.Properties.UserProperties, p.Properties.SubscriptionIDs = nil, nil
		require.Equal(t, p, q)
	})
}
