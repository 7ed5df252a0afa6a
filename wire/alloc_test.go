package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func requireNoAllocations(t *testing.T, what string, f func()) {
	t.Helper()
	require.Zero(t, testing.AllocsPerRun(1000, f), what)
}

func TestEncodingPublishesAndAcknowledgementsDoesNotAllocate(t *testing.T) {
	b := make([]byte, 0, 1024)
	payload := make([]byte, 256)
	publishes := []*Publish{
		{Topic: "a/b/c", Payload: payload},
		{Topic: "a/b/c", Payload: payload, QoS: AtLeastOnce, PacketID: 7},
		{Topic: "a/b/c", Payload: payload, Properties: &PublishProperties{TopicAlias: 3, ContentType: "text"}},
	}
	for _, p := range publishes {
		requireNoAllocations(t, "Append", func() { b, _ = p.Append(b[:0], V5) })
		requireNoAllocations(t, "Size", func() { _ = p.Size(V5) })
	}
	requireNoAllocations(t, "3.1.1", func() { b, _ = publishes[1].Append(b[:0], V311) })
	requireNoAllocations(t, "Puback", func() { b, _ = (&Puback{PacketID: 1}).Append(b[:0], V5) })
	requireNoAllocations(t, "Pubrel", func() {
		b, _ = (&Pubrel{PacketID: 1, ReasonCode: PacketIdentifierNotFound}).Append(b[:0], V5)
	})
	requireNoAllocations(t, "Pingreq", func() { b, _ = (&Pingreq{}).Append(b[:0], V5) })
}

func TestDecodingPublishesAndAcknowledgementsDoesNotAllocate(t *testing.T) {
	for what, sent := range map[string]*Publish{
		"plain":      {Topic: "a/b/c", Payload: make([]byte, 256)},
		"properties": {Topic: "a/b/c", Properties: &PublishProperties{SubscriptionIDs: []uint32{7}, MessageExpiryInterval: new(uint32(3)), ResponseTopic: "r"}},
	} {
		d := Decoder{Version: V5}
		var p Publish
		h, body := publishBytes(t, sent, V5)
		other, otherBody := publishBytes(t, &Publish{Topic: "other"}, V5)
		requireNoAllocations(t, what, func() {
			if d.Publish(&p, h, body) != nil || d.Publish(&p, other, otherBody) != nil {
				t.Fail()
			}
			d.Recycle()
		})
	}
	d := Decoder{Version: V5}
	var puback Puback
	short, long := []byte{0, 1}, []byte{0, 1, 0x97}
	requireNoAllocations(t, "PUBACK", func() {
		if d.Puback(&puback, Header{}, short) != nil || d.Puback(&puback, Header{}, long) != nil {
			t.Fail()
		}
	})
	require.Equal(t, QuotaExceeded, puback.ReasonCode)
}
