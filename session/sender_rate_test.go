package session

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// published takes what the engine sends and returns the PUBLISHes, with their sizes.
func (s *script) published() (packets []*wire.Publish, sizes []int) {
	s.t.Helper()
	s.take()
	d := wire.Decoder{Version: s.v, From: wire.FromClient}
	for len(s.out) > 0 {
		h, n, err := wire.ParseHeader(s.out, s.v)
		require.NoError(s.t, err)
		p, err := d.Decode(h, s.out[n:h.Size])
		require.NoError(s.t, err)
		if p, ok := p.(*wire.Publish); ok {
			packets, sizes = append(packets, p), append(sizes, h.Size)
		}
		s.out = s.out[h.Size:]
	}
	return packets, sizes
}

func TestRateSpacesMessages(t *testing.T) {
	for _, qos := range []wire.QoS{0, 1, 2} {
		s := newScript(t, wire.V5, ClientSettings{Rate: Rate{Messages: 10}})
		s.up(keeping(wire.V5), &wire.Connack{})
		require.True(t, s.c.Deadline().IsZero())
		for i := range 25 {
			s.publish(fmt.Sprint(i), qos)
		}
		first, _ := s.published()
		require.Len(t, first, 1)
		total := 1
		for second := range 2 {
			require.NoError(t, s.advance(time.Second))
			got, _ := s.published()
			require.Len(t, got, 10, second)
			total += len(got)
		}
		require.NoError(t, s.advance(time.Minute))
		got, _ := s.published()
		require.Equal(t, 25, total+len(got))
		for i, p := range got {
			require.Equal(t, fmt.Sprint(total+i), string(p.Payload), "the order stays")
		}
		require.True(t, s.c.Deadline().IsZero(), "nothing waits")
	}
}

func TestBurstIsWhatAddsUpMeanwhile(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Rate: Rate{Messages: 10, Burst: 2 * time.Second}})
	s.up(keeping(wire.V5), &wire.Connack{})
	for i := range 100 {
		s.publish(fmt.Sprint(i), 0)
	}
	got, _ := s.published()
	require.Len(t, got, 21)
	require.NoError(t, s.advance(time.Hour))
	s.skip()
	for i := range 100 {
		s.publish(fmt.Sprint(i), 0)
	}
	got, _ = s.published()
	require.Len(t, got, 21, "an hour adds up to no more than the burst")
}

func TestRateOfBytes(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Rate: Rate{Bytes: 1000}})
	s.up(keeping(wire.V5), &wire.Connack{})
	const overhead = 2 + 2 + 1 + 1 // header, topic, length of properties
	for range 3 {
		s.publish(strings.Repeat("x", 100-overhead), 0)
	}
	large := s.publish(strings.Repeat("x", 5000-overhead), 0) // more than a second allows
	s.publish("behind", 0)
	got, _ := s.published()
	require.Len(t, got, 1)
	require.NoError(t, s.advance(99*time.Millisecond))
	got, _ = s.published()
	require.Len(t, got, 1)
	require.NoError(t, s.advance(time.Second))
	got, _ = s.published()
	require.Len(t, got, 2)
	require.Equal(t, large.Publish.Payload, got[1].Payload)
	require.NoError(t, s.advance(3*time.Second))
	got, _ = s.published()
	require.Empty(t, got)
	require.NoError(t, s.advance(2*time.Second))
	got, _ = s.published()
	require.Len(t, got, 1)
}

func TestRateCountsRepeats(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Rate: Rate{Messages: 10}})
	s.up(keeping(wire.V5), &wire.Connack{})
	for i := range 6 {
		s.publish(fmt.Sprint(i), 1)
	}
	require.NoError(t, s.advance(450*time.Millisecond))
	got, _ := s.published()
	require.Len(t, got, 5)
	s.resume()
	got, _ = s.published()
	require.Empty(t, got, "the last one is not paid for")
	require.NoError(t, s.advance(100*time.Millisecond))
	got, _ = s.published()
	require.Len(t, got, 1)
	require.True(t, got[0].Duplicate)
	require.NoError(t, s.advance(500*time.Millisecond))
	got, _ = s.published()
	require.Len(t, got, 5)
	require.Equal(t, "5", string(got[4].Payload), "the new one goes last")
	require.False(t, got[4].Duplicate)
}

// A client at its limit still answers, subscribes and finishes what it has begun.
func TestRateHoldsUpNothingElse(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Rate: Rate{Messages: 0.001}})
	p := keeping(wire.V5)
	p.KeepAlive = 10
	s.up(p, &wire.Connack{})
	s.publish("1", 2)
	s.want(pub(1, 2, "1"))
	held := s.publish("2", 1)
	s.wantIdle()
	s.send(pubrec(1))
	s.want(&wire.Pubrel{PacketID: 1})
	s.request(subscribe("a"))
	s.skip()
	s.send(pub(9, 1, "in"))
	s.ack(s.wantMessages("in")...)
	s.want(puback(9))
	require.NoError(t, s.advance(10*time.Second))
	s.want(&wire.Pingreq{})
	sent, err := s.c.Sender.SendAtMostOnce(pub(0, 0, "0"))
	require.NoError(t, err)
	require.False(t, sent)
	require.True(t, s.c.Sender.Withdraw(held), "what is held back was not sent")
	s.check()
}

func TestWhatTheRateHoldsBackExpires(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Rate: Rate{Messages: 0.1}})
	s.up(keeping(wire.V5), &wire.Connack{})
	s.publish("0", 0)
	soon := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1}, Expires: new(s.now.Add(5 * time.Second))}
	s.submit(soon)
	last := s.publish("last", 1)
	s.skip()
	s.c.Sender.Completed(nil)
	require.NoError(t, s.advance(5*time.Second))
	s.wantCompleted(soon)
	require.ErrorIs(t, soon.Result().Err, ErrExpired)
	require.False(t, soon.Sent())
	require.NoError(t, s.advance(5*time.Second))
	got, _ := s.published()
	require.Len(t, got, 1)
	require.True(t, last.Sent())
}

// Whatever happens, no period has more than the rate allows for it and the burst.
func TestRateHoldsInEveryPeriod(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		rate := Rate{Messages: float64(1 + rng.IntN(200)), Bytes: float64(100 * (1 + rng.IntN(100))), Burst: time.Duration(rng.IntN(2000)) * time.Millisecond}
		s := newScript(t, wire.V5, ClientSettings{Rate: rate})
		burst := rate.Burst
		if burst == 0 {
			burst = defaultBurst
		}
		s.up(keeping(wire.V5), &wire.Connack{})
		type sending struct {
			at   time.Time
			size int
		}
		var sendings []sending
		gather := func() {
			packets, sizes := s.published()
			for i, p := range packets {
				sendings = append(sendings, sending{s.now, sizes[i]})
				switch {
				case rng.IntN(10) == 0: // no answer
				case p.QoS == 1:
					s.send(puback(p.PacketID))
				case p.QoS == 2:
					s.send(pubrec(p.PacketID), &wire.Pubcomp{PacketID: p.PacketID})
				}
			}
		}
		for range 300 {
			switch rng.IntN(12) {
			case 0:
				s.resume()
			case 1, 2, 3, 4, 5, 6:
				s.publish(strings.Repeat("x", rng.IntN(100)), wire.QoS(rng.IntN(3)))
			default:
				for end := s.now.Add(time.Duration(rng.IntN(int(200 * time.Millisecond)))); ; gather() {
					due := s.c.Deadline()
					if due.IsZero() || due.After(end) {
						s.now = end
						break
					}
					require.False(t, due.Before(s.now))
					require.NoError(t, s.advance(due.Sub(s.now)))
				}
			}
			gather()
		}
		for i := range sendings {
			bytes := 0.0
			for j := i; j < len(sendings); j++ {
				allowed := (sendings[j].at.Sub(sendings[i].at) + burst + 2*time.Nanosecond*time.Duration(j-i+1)).Seconds()
				require.LessOrEqual(t, float64(j-i+1), allowed*rate.Messages+1.001, "seed %d", seed)
				require.LessOrEqual(t, bytes, allowed*rate.Bytes+0.001, "seed %d: beside the last", seed)
				bytes += float64(sendings[j].size)
			}
		}
	}
}
