package mqtt

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Consumers take messages at random, hand over some of them and give back the rest.
// Each message is handed over once, and what comes back comes first, in order.
func TestWhatConsumersGiveBackComesBackInOrder(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		q := newQueue(SubscribeOptions{BufferMessages: 1 << 20})
		pushed, handed := uint32(0), make(map[uint32]bool)
		take := func(m item) {
			n := binary.BigEndian.Uint32(m.Payload)
			require.False(t, handed[n], "message %d of seed %d", n, seed)
			handed[n] = true
		}
		type taker struct {
			consumer
			done int
		}
		var all []*taker
		for range 400 {
			switch random.IntN(5) {
			case 0:
				for range random.IntN(100) {
					m := &Message{QoS: QoS(random.IntN(3)), Payload: binary.BigEndian.AppendUint32(nil, pushed)}
					require.Equal(t, pushTaken, push(q, m))
					pushed++
				}
			case 1:
				c := new(taker)
				c.batch = make([]item, 1+random.IntN(8))
				q.addConsumer(&c.consumer)
				all = append(all, c)
			case 2:
				if len(all) > 0 {
					i := random.IntN(len(all))
					require.Empty(t, q.removeConsumer(&all[i].consumer))
					all = slices.Delete(all, i, i+1)
				}
			default:
				if len(all) == 0 {
					continue
				}
				c := all[random.IntN(len(all))]
				for range random.IntN(len(c.batch) + 1) {
					if m, ok := c.claimNext(); ok {
						take(m)
						c.done++
					}
				}
				if c.next.Load() >= c.count {
					_, err := q.pop(&c.consumer, c.done, c.batch, false)
					require.NoError(t, err)
					c.done = 0
				}
			}
		}
		for _, c := range all {
			require.Empty(t, q.removeConsumer(&c.consumer))
		}
		require.Zero(t, q.out)
		last := -1
		for {
			m, ok, err := pop(q)
			require.NoError(t, err)
			if !ok {
				break
			}
			n := binary.BigEndian.Uint32(m.Payload)
			require.Greater(t, int(n), last, "seed %d", seed)
			last = int(n)
			take(item{Message: m})
		}
		require.Len(t, handed, int(pushed))
		require.Zero(t, q.lossy)
		require.Zero(t, q.firm)
	}
}

func TestWhatComesBackToAnEndedQueue(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*queue)
		left int // given to the consumer that comes too late
		kept int // returned by cutOff
	}{
		"closed":  {func(q *queue) { q.cutOff(ErrClosed) }, 3, 0},
		"failed":  {func(q *queue) { q.cutAndKeep(ErrClosed) }, 0, 4},
		"drained": {func(q *queue) { q.finishWhenEmpty() }, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue(SubscribeOptions{})
			for range 4 {
				push(q, queued(1, "x"))
			}
			h := new(consumer)
			q.addConsumer(h)
			var taken [3]item
			n, err := q.pop(h, 0, taken[:], false)
			require.NoError(t, err)
			require.Equal(t, 3, n)
			c.end(q)
			require.Len(t, q.removeConsumer(h, taken[:]...), c.left)
			require.Len(t, q.cutOff(ErrUnsubscribed), c.kept)
		})
	}
}
