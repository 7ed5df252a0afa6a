package session

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// parallel is two clients that are given the same bytes: one takes packets as they come,
// the other decodes them ahead.
type parallel struct {
	*testing.T
	v              wire.Version
	now            time.Time
	plain, batched *Client
}

func newParallel(t *testing.T, v wire.Version, settings ClientSettings) *parallel {
	return &parallel{t, v, time.Unix(1, 0), NewClient(settings), NewClient(settings)}
}

// both does the same to both.
func (x *parallel) both(f func(*Client)) {
	f(x.plain)
	f(x.batched)
}

func (x *parallel) connect(p *wire.Connect) {
	x.Helper()
	ack, err := (&wire.Connack{SessionPresent: x.v != wire.V31 && x.plain.HasSessionOf("c1")}).Append(nil, x.v)
	require.NoError(x, err)
	x.both(func(c *Client) {
		require.NoError(x, c.Connect(x.v, p, x.now))
		require.NoError(x, feed(c, x.v, ack, x.now))
	})
	require.Equal(x, x.plain.Take(nil, x.now), x.batched.Take(nil, x.now))
}

// feed gives b to both and compares what becomes of it. Messages are acknowledged.
func (x *parallel) feed(b []byte) (messages []string, err error) {
	x.Helper()
	err = feed(x.plain, x.v, b, x.now)
	messages = described(x.plain.Received())
	var batched []string
	var failed error
	var tokens []Token
	r, d := wire.NewReader(bytes.NewReader(b), x.v, 0), x.batched.Decoder()
	var batch Batch
	for failed == nil {
		if failed = r.Fill(); failed != nil {
			break
		}
		for failed == nil && batch.Decode(&d, r) {
			require.LessOrEqual(x, len(batch.received)+len(batch.arrivals), batchPackets+1)
			failed = x.batched.HandleBatch(&batch, x.now)
			batched = append(batched, described(batch.Received())...)
			for _, in := range batch.Received() {
				tokens = append(tokens, in.Token)
			}
			batch.Recycle()
			require.NoError(x, invariants(x.batched))
		}
	}
	if isProtocolFault(err) || isProtocolFault(failed) {
		require.Equal(x, err, failed)
		x.batched.Fail(failed) // as whoever reads does
	}
	require.Equal(x, messages, batched)
	require.Equal(x, x.plain.Refused(nil), x.batched.Refused(nil))
	require.Equal(x, described(batch.received[:cap(batch.received)]), described(make([]Received, cap(batch.received))), "nothing is kept")
	for i, in := range x.plain.Received() {
		require.Equal(x, x.plain.Receiver.Ack(in.Token, wire.Success), x.batched.Receiver.Ack(tokens[i], wire.Success))
	}
	x.plain.Recycle()
	require.Equal(x, x.plain.Take(nil, x.now), x.batched.Take(nil, x.now))
	return messages, err
}

func described(received []Received) (texts []string) {
	for i := range received {
		p := &received[i].Publish
		texts = append(texts, fmt.Sprintf("%s %x %v %d %d %t %t", p.Topic, p.Payload, p.Properties, p.PacketID, p.QoS, p.Retain, received[i].Token.IsZero()))
	}
	return texts
}

func TestPacketsDecodedAheadHaveTheSameEffect(t *testing.T) {
	large := strings.Repeat("large ", 10_000)
	for _, v := range versions {
		x := newParallel(t, v, ClientSettings{})
		x.both(func(c *Client) {
			for i := range 3 {
				c.Sender.Submit(&Outgoing{Publish: wire.Publish{Topic: "out", Payload: fmt.Append(nil, i), QoS: 1}}, x.now)
			}
		})
		x.connect(keeping(v))
		stream := func(packets ...wire.Packet) (b []byte) {
			for _, p := range packets {
				var err error
				b, err = p.Append(b, v)
				require.NoError(t, err)
			}
			return b
		}
		again := pub(7, 2, large)
		again.Duplicate = true
		long := &wire.Puback{PacketID: 2, ReasonString: strings.Repeat("because ", 100)}
		b := stream(pub(0, 0, "a"), pub(5, 1, "b"), pub(7, 2, large), &wire.Puback{PacketID: 1}, again, long, pub(0, 0, large), &wire.Pingresp{})
		messages, err := x.feed(b)
		require.False(t, isProtocolFault(err))
		require.Len(t, messages, 4)
		messages, err = x.feed(stream(&wire.Pubrel{PacketID: 7}, pub(7, 2, "c"), pub(7, 2, "not allowed"), pub(0, 0, "too late")))
		require.True(t, isProtocolFault(err))
		require.Len(t, messages, 1)
		x.both(func(c *Client) { c.Lost(true) })
		x.connect(keeping(v))
		again = pub(7, 2, "c")
		again.Duplicate = true
		messages, _ = x.feed(stream(again, pub(9, 1, "d")))
		require.Len(t, messages, 1)
	}
}

func TestABatchHoldsNoMoreThanALockCanBear(t *testing.T) {
	x := newParallel(t, wire.V311, ClientSettings{})
	x.connect(keeping(wire.V311))
	b, err := pub(0, 0, "x").Append(nil, wire.V311)
	require.NoError(t, err)
	messages, _ := x.feed(bytes.Repeat(b, 3*batchPackets+1))
	require.Len(t, messages, 3*batchPackets+1)
}

func TestAMessageWithTooManyPropertiesIsRefusedAlone(t *testing.T) {
	for qos := range wire.QoS(3) {
		x := newParallel(t, wire.V5, ClientSettings{})
		p := keeping(wire.V5)
		p.TopicAliasMaximum = 3
		x.connect(p)
		excessive := &wire.Publish{Topic: "t", QoS: qos, Properties: &wire.PublishProperties{TopicAlias: 3, UserProperties: make([]wire.UserProperty, 1<<16+1)}}
		after := &wire.Publish{QoS: qos, Payload: []byte("fine"), Properties: &wire.PublishProperties{TopicAlias: 3}}
		if qos > 0 {
			excessive.PacketID, after.PacketID = 1, 2
		}
		b, err := excessive.Append(nil, wire.V5)
		require.NoError(t, err)
		b, err = after.Append(b, wire.V5)
		require.NoError(t, err)
		require.NoError(t, feed(x.plain, wire.V5, b, x.now))
		require.Len(t, x.plain.Received(), 1)
		require.Equal(t, "t", x.plain.Received()[0].Publish.Topic, "the alias counts")
		refused := x.plain.Refused(nil)
		require.Len(t, refused, 1)
		require.ErrorIs(t, refused[0].Err, wire.QuotaExceeded)
		answer := map[wire.QoS]string{0: "", 1: "4003000197", 2: "5003000197"}[qos]
		require.Equal(t, answer, fmt.Sprintf("%x", x.plain.Take(nil, x.now)))
		x.plain.Recycle()

		again := newParallel(t, wire.V5, ClientSettings{})
		again.connect(p)
		messages, _ := again.feed(b)
		require.Len(t, messages, 1)
	}
}

// FuzzBatch compares packets that are decoded ahead with those that are not.
func FuzzBatch(f *testing.F) {
	for _, text := range []string{
		"50020002 70020002 40020001",
		"3406000174000761 62020007 62020007",
		"320700017400070061 3a0700017400070061 320700017400080062 3c0700017400090062",
		"300800017403230001 300700000323000161",
		"e000 ffff",
	} {
		for options := range byte(6) {
			f.Add(options, unhex(f, text))
		}
	}
	f.Fuzz(func(t *testing.T, options byte, b []byte) {
		x := newParallel(t, versions[options%3], ClientSettings{})
		p := keeping(x.v)
		if x.v == wire.V5 {
			p.TopicAliasMaximum, p.ReceiveMaximum = 3, 2
		}
		x.both(func(c *Client) {
			c.Sender.Submit(&Outgoing{Publish: *pub(0, 1, "one")}, x.now)
			c.Sender.Submit(&Outgoing{Publish: *pub(0, 2, "two")}, x.now)
		})
		for range 2 {
			x.connect(p)
			x.feed(b)
			x.both(func(c *Client) { c.Lost(options&64 != 0) })
		}
	})
}
