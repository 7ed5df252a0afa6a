package session

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// TestRunsOfAcknowledgementsHaveTheSameEffect has a server that answers many messages
// with one write, and refuses some of them. What the client sends then, and what it
// completes, is the same whether it takes the packets as they come or as runs. Only the
// identifiers differ: a run frees all of its own before the next message takes one.
func TestRunsOfAcknowledgementsHaveTheSameEffect(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		v := versions[random.IntN(len(versions))]
		x := newParallel(t, v, ClientSettings{Inflight: 1 + random.IntN(40)})
		x.connect(keeping(v))
		submitted, completed := 0, 0
		for range 60 {
			for range random.IntN(30) {
				qos := wire.QoS(random.IntN(3))
				submitted++
				x.both(func(c *Client) {
					c.Sender.Submit(&Outgoing{Publish: wire.Publish{Topic: "t", Payload: fmt.Append(nil, submitted), QoS: qos}}, x.now)
				})
			}
			given := answers(random, x.plain)
			require.NoError(t, feed(x.plain, v, encoded(t, x.plain, given), x.now))
			require.NoError(t, feedAhead(x.batched, v, encoded(t, x.batched, given), x.now))
			require.NoError(t, invariants(x.batched))
			require.Equal(t, sentBy(t, x.plain, x.now), sentBy(t, x.batched, x.now))
			plain, batched := bySeq(x.plain.Sender.Completed(nil)), bySeq(x.batched.Sender.Completed(nil))
			require.Len(t, batched, len(plain))
			for i := range plain {
				require.Equal(t, plain[i].Seq(), batched[i].Seq())
				require.Equal(t, plain[i].Result(), batched[i].Result())
			}
			completed += len(plain)
			one, other := x.plain.Counts(), x.batched.Counts()
			one.Publish, other.Publish = RoundTrips{}, RoundTrips{} // other messages are samples
			require.Equal(t, one, other)
		}
		require.Positive(t, completed)
	}
}

// bySeq sorts messages by number. At QoS 0 they complete when they are sent, which is
// after a run.
func bySeq(list []*Outgoing) []*Outgoing {
	slices.SortFunc(list, func(a, b *Outgoing) int { return cmp.Compare(a.seq, b.seq) })
	return list
}

// answer is what a server says to the message with a number.
type answer struct {
	seq  uint64 // 0: the identifier stands for no message
	code wire.ReasonCode
}

// answers are answers to some of what c has sent, in the order of sending.
func answers(random *rand.Rand, c *Client) (list []answer) {
	for _, l := range []*outgoingList{&c.Sender.published, &c.Sender.released} {
		for o := l.head; o != nil; o = o.next {
			a := answer{seq: o.seq}
			if c.Version() == wire.V5 && o.state == outgoingPublished && random.IntN(20) == 0 {
				a.code = wire.QuotaExceeded
			}
			if random.IntN(50) == 0 {
				list = append(list, answer{})
			}
			if random.IntN(4) > 0 {
				list = append(list, a)
			}
		}
	}
	return list
}

// encoded are the packets for the answers. c has the messages.
func encoded(t *testing.T, c *Client, list []answer) (b []byte) {
	sent := map[uint64]*Outgoing{}
	for o := range c.Sender.allMessages {
		sent[o.seq] = o
	}
	for _, a := range list {
		var p wire.Packet = &wire.Puback{PacketID: 60_000}
		switch o := sent[a.seq]; {
		case o == nil:
		case o.state == outgoingReleased:
			p = &wire.Pubcomp{PacketID: o.Publish.PacketID}
		case o.Publish.QoS == wire.ExactlyOnce:
			p = &wire.Pubrec{PacketID: o.Publish.PacketID, ReasonCode: a.code}
		default:
			p = &wire.Puback{PacketID: o.Publish.PacketID, ReasonCode: a.code}
		}
		var err error
		b, err = p.Append(b, c.Version())
		require.NoError(t, err)
	}
	return b
}

// feedAhead gives b to c as a caller does that decodes packets ahead.
func feedAhead(c *Client, v wire.Version, b []byte, now time.Time) error {
	r, d := wire.NewReader(bytes.NewReader(b), v, 0), c.Decoder()
	var batch Batch
	for {
		if err := r.Fill(); err != nil {
			return nil // that is all
		}
		for batch.Decode(&d, r) {
			if err := c.HandleBatch(&batch, now); err != nil {
				return err
			}
			batch.Recycle()
		}
	}
}

// sentBy takes what c sends and says what it is, without identifiers.
func sentBy(t *testing.T, c *Client, now time.Time) (packets []string) {
	r, d := wire.NewReader(bytes.NewReader(c.Take(nil, now)), c.Version(), 0), wire.Decoder{Version: c.Version(), From: wire.FromClient}
	for {
		h, body, err := r.ReadPacket()
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return packets
		}
		text := h.Type.String()
		if h.Type == wire.TypePublish {
			var p wire.Publish
			require.NoError(t, d.Publish(&p, h, body))
			text = fmt.Sprintf("%v %s %d %t", text, p.Payload, p.QoS, p.Duplicate)
		}
		packets = append(packets, text)
	}
}

// TestARunEndsWithWhatTheServerMayNotSay has an error in the middle of a run.
func TestARunEndsWithWhatTheServerMayNotSay(t *testing.T) {
	for name, test := range map[string]struct{ packets string }{
		"PUBCOMP before PUBREL":   {"40020001 70020003 40020002"},
		"PUBACK for QoS 2":        {"40020001 40020003 40020002"},
		"PUBREC for QoS 1":        {"50020003 50020001 50020002"},
		"identifier 0":            {"40020001 40020000 40020002"},
		"PUBACK for a SUBSCRIBE":  {"40020001 40020004 40020002"},
		"length not the shortest": {"40020001 40820002 40020002"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newParallel(t, wire.V5, ClientSettings{})
			x.connect(keeping(wire.V5))
			x.both(func(c *Client) {
				for _, qos := range []wire.QoS{1, 1, 2} {
					c.Sender.Submit(&Outgoing{Publish: wire.Publish{Topic: "t", QoS: qos}}, x.now)
				}
				require.NoError(t, c.Request(&Request{Subscribe: &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: "f"}}}}))
			})
			x.both(func(c *Client) { c.Take(nil, x.now) })
			_, err := x.feed(unhex(t, test.packets))
			require.True(t, isProtocolFault(err), "%v", err)
			require.Len(t, x.plain.Sender.Completed(nil), len(x.batched.Sender.Completed(nil)))
		})
	}
}

// TestShortAcknowledgementsMakeOneRun is what makes a read of many acknowledgements cheap.
func TestShortAcknowledgementsMakeOneRun(t *testing.T) {
	c := NewClient(ClientSettings{})
	d := c.Decoder()
	r := wire.NewReader(bytes.NewReader(unhex(t, "40020001 40020002 40020003 50020004 40020005")), wire.V311, 0)
	require.NoError(t, r.Fill())
	var b Batch
	require.True(t, b.Decode(&d, r))
	require.Len(t, b.arrivals, 3)
	require.Equal(t, []uint16{1, 2, 3, 4, 5}, b.acks)
	b.Recycle()
	require.Empty(t, b.acks)
}
