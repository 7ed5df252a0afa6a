package mqtt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/seed65a45251/mqtt/session"
	"github.com/stretchr/testify/require"
)

func newQueue(o SubscribeOptions) *queue {
	q := new(queue)
	q.init(&o, new(dropped))
	return q
}

// push queues one message and says what became of it.
func push(q *queue, m *Message) pushed {
	_, result, episode, _ := q.push([]item{{Message: m}}, false)
	if result == pushDropped && episode {
		return pushEpisode
	}
	return result
}

func pop(q *queue) (m *Message, ok bool, err error) {
	var next [1]item
	n, _, err := q.pop(nil, 0, next[:], false)
	return next[0].Message, n > 0, err
}

func queued(qos QoS, payload string) *Message { return &Message{QoS: qos, Payload: []byte(payload)} }

func wantQueued(t *testing.T, q *queue, payloads ...string) {
	t.Helper()
	for _, want := range payloads {
		m, ok, err := pop(q)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, string(m.Payload))
	}
}

// hasToken reports whether there is a token, and takes it.
func hasToken(ch chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestQueueKeepsOrderThroughCompaction(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	in, out := 0, 0
	for round := range 100 {
		for range 100 + round*10 {
			require.Equal(t, pushTaken, push(q, queued(1, fmt.Sprint(in))))
			in++
		}
		for range 50 + round*10 {
			wantQueued(t, q, fmt.Sprint(out))
			out++
		}
	}
	for ; out < in; out++ {
		wantQueued(t, q, fmt.Sprint(out))
	}
	_, ok, err := pop(q)
	require.NoError(t, err)
	require.False(t, ok)
	require.LessOrEqual(t, cap(q.items), keptItems, "a burst leaves no large buffer")
}

func TestQueueCountsBytesAndMessagesOfQoS0Only(t *testing.T) {
	q := newQueue(SubscribeOptions{BufferMessages: 2, BufferBytes: 10})
	for range 5 {
		require.Equal(t, pushTaken, push(q, queued(1, "0123456789")))
	}
	require.Equal(t, pushTaken, push(q, queued(0, "01234567")))
	require.Equal(t, pushEpisode, push(q, queued(0, "012")))
	require.Equal(t, pushTaken, push(q, queued(0, "01")))
	require.Equal(t, pushEpisode, push(q, queued(0, "")), "a new episode, after one found room")
	require.Equal(t, pushDropped, push(q, queued(0, "")))
	require.Equal(t, uint64(3), q.lost())
	require.Equal(t, 10, q.lossy.bytes)
	wantQueued(t, q, "0123456789", "0123456789", "0123456789", "0123456789", "0123456789", "01234567", "01")
	require.Zero(t, q.lossy)
	require.Zero(t, q.firm)
}

func TestQueueTakesOneMessageLargerThanItself(t *testing.T) {
	for _, policy := range []Overflow{DropNewest, DropOldest, Block} {
		q := newQueue(SubscribeOptions{BufferBytes: 1, Overflow: policy})
		require.Equal(t, pushTaken, push(q, queued(0, "large")))
		wantQueued(t, q, "large")
	}
}

func TestQueueDropsAsManyOldOnesAsNeeded(t *testing.T) {
	q := newQueue(SubscribeOptions{BufferBytes: 6, Overflow: DropOldest})
	for _, text := range []string{"11", "22", "33"} {
		require.Equal(t, pushTaken, push(q, queued(0, text)))
	}
	require.Equal(t, pushTaken, push(q, queued(2, "kept")))
	require.Equal(t, pushEpisode, push(q, queued(0, "4444")))
	require.Equal(t, uint64(2), q.lost())
	wantQueued(t, q, "33", "kept", "4444")
}

func TestBlockingQueueAsksToTryAgain(t *testing.T) {
	q := newQueue(SubscribeOptions{BufferMessages: 1, Overflow: Block})
	require.Equal(t, pushTaken, push(q, queued(0, "1")))
	require.Equal(t, pushFull, push(q, queued(0, "2")))
	require.False(t, hasToken(q.space))
	wantQueued(t, q, "1")
	require.True(t, hasToken(q.space))
	require.Equal(t, pushTaken, push(q, queued(0, "2")))
	require.Zero(t, q.lost())
}

func TestQueueWakesAnotherConsumerWhileThereIsMore(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	for range 2 { // consumers find it empty and wait
		_, ok, _ := pop(q)
		require.False(t, ok)
	}
	push(q, queued(0, "1"))
	push(q, queued(0, "2"))
	require.True(t, hasToken(q.ready))
	q.woken()
	wantQueued(t, q, "1")
	require.True(t, hasToken(q.ready), "the other one is told")
	q.woken()
	wantQueued(t, q, "2")
	require.False(t, hasToken(q.ready))
}

func TestQueueThatNobodyWaitsForWakesNobody(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	push(q, queued(0, "1"))
	push(q, queued(0, "2"))
	wantQueued(t, q, "1", "2")
	require.False(t, hasToken(q.ready))
}

func TestClosedQueueTellsEveryConsumer(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	push(q, queued(1, "1"))
	reason := errors.New("reason")
	left := q.cutOff(reason)
	require.Len(t, left, 1)
	for range 3 {
		require.True(t, hasToken(q.ready))
		_, ok, err := pop(q)
		require.False(t, ok)
		require.ErrorIs(t, err, reason)
	}
	require.Equal(t, pushClosed, push(q, queued(1, "2")))
	require.Empty(t, q.cutOff(errors.New("another")))
	require.Equal(t, reason, q.err())
}

func TestDrainedQueueEndsWithItsLastMessage(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	push(q, queued(1, "1"))
	push(q, queued(1, "2"))
	q.finishWhenEmpty(ErrUnsubscribed)
	require.Equal(t, pushClosed, push(q, queued(1, "late")))
	require.NoError(t, q.err())
	wantQueued(t, q, "1", "2")
	require.ErrorIs(t, q.err(), ErrUnsubscribed)
	require.True(t, hasToken(q.ready), "other consumers have to see the end")
	_, _, err := pop(q)
	require.ErrorIs(t, err, ErrUnsubscribed)
}

func TestEmptyQueueDrainsAtOnce(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	q.finishWhenEmpty(ErrUnsubscribed)
	require.ErrorIs(t, q.err(), ErrUnsubscribed)
	require.True(t, hasToken(q.ready))
}

// aSource is a source that nobody takes from.
type aSource struct{ source }

func (aSource) pass() {}

func TestConsumerOfAQueueThatEndsReadsNothingMore(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	push(q, queued(0, "x"))
	c := new(consumer)
	q.addConsumer(c)
	var taken [2]item
	n, from, err := q.pop(c, 0, taken[:], false)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Nil(t, from)
	_, _, _ = q.pop(c, 0, taken[:], false) // it waits for more, and keeps what it has
	require.True(t, q.pass(aSource{}))
	q.woken()
	_, from, err = q.pop(c, 0, taken[:], false)
	require.NoError(t, err)
	require.NotNil(t, from)

	// Nothing that it could read would be added, however much there is.
	q.finishWhenEmpty(ErrUnsubscribed)
	_, from, err = q.pop(c, 0, taken[:], false)
	require.NoError(t, err)
	require.Nil(t, from)
	require.Equal(t, 1, q.waiting)
}

func TestGroupsOfShortSubscriptionsAreForgotten(t *testing.T) {
	b := newInbox()
	r := b.router
	add := func() *Subscription {
		s := &Subscription{inbox: b, options: SubscribeOptions{Filters: []Filter{{Filter: "t"}}}}
		require.NoError(t, b.add(s))
		return s
	}
	long := add()
	for range 100 {
		short := add()
		b.granted(short, []Ack{{ReasonCode: Success}})
		b.remove(short)
	}
	require.Len(t, r.groups, 1)
	require.Len(t, r.routes["t"].groups, 1)
	b.remove(long)
	require.Empty(t, r.groups)
	require.Empty(t, r.routes)
}

func TestStuckConsumerWithDropOldestCostsNoMoreThanItsBuffer(t *testing.T) {
	q := newQueue(SubscribeOptions{BufferMessages: 10, Overflow: DropOldest})
	push(q, queued(1, "kept"))
	for i := range 100_000 {
		push(q, queued(0, fmt.Sprint(i)))
	}
	require.Less(t, cap(q.items), 5000)
	require.Equal(t, uint64(99_990), q.lost())
	require.Equal(t, DroppedMessages{Oldest: 99_990}, q.all.show())
	wantQueued(t, q, "kept", "99990", "99991")
}

func TestLimitsMayBeAsLargeAsAnInt(t *testing.T) {
	q := newQueue(SubscribeOptions{BufferMessages: math.MaxInt, BufferBytes: math.MaxInt, Overflow: Block})
	q.early = true
	for range 3 {
		require.Equal(t, pushTaken, push(q, queued(0, "x")))
	}
}

func TestBlockingQueueHasMoreRoomUntilSubscribeReturns(t *testing.T) {
	q := newQueue(SubscribeOptions{BufferMessages: 1, Overflow: Block})
	q.early = true
	for range earlySpace {
		require.Equal(t, pushTaken, push(q, queued(0, "early")))
	}
	require.Equal(t, pushEpisode, push(q, queued(0, "too many")), "never without bound, and never waiting")
	require.Equal(t, uint64(1), q.lost())
}

// BenchmarkQueue passes messages through in batches, as reader and handler do.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{1, handleBatch} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			q := newQueue(SubscribeOptions{})
			in, out := make([]item, n), make([]item, n)
			for i := range in {
				in[i].Message = queued(QoS(i%2), "payload")
			}
			b.ReportAllocs()
			for b.Loop() {
				q.push(in, false)
				if taken, _, _ := q.pop(nil, 0, out, false); taken != n {
					b.Fatal("not all came out")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		})
	}
}

// A server that sends more than it may is given some room, and so is one that sends before
// Subscribe has returned. The messages may be empty, so beyond the usual number the memory
// counts that they take themselves.
func TestRoomForAServerThatExceedsTheReceiveMaximum(t *testing.T) {
	const usual = 8
	for _, c := range []struct {
		early             bool
		limit, bytes, has int
	}{
		{false, usual, 0, usual},
		{true, usual, 0, earlySpace * usual},
		{false, 2 * usual, 0, 2 * usual},
		{true, 2 * usual, 0, earlySpace * usual},
		{true, 1 << 20, 20 * emptyMessage, earlySpace * 20},
		{false, 1 << 20, 20 * emptyMessage, 20},
		{false, 1 << 20, 3 * emptyMessage, usual},
		{true, 1 << 20, 3 * emptyMessage, earlySpace * usual},
	} {
		q := newQueue(SubscribeOptions{BufferBytes: c.bytes})
		q.early = c.early
		q.remote.fetch, q.remote.limit, q.remote.usual = func() {}, new(atomic.Int64), usual
		q.remote.limit.Store(int64(c.limit))
		n := 0
		for push(q, &Message{QoS: 1}) == pushTaken {
			n++
		}
		require.Equal(t, c.has, n, "%+v", c)
	}
}

// What was left is fetched when there is space for it. Otherwise the client would reconnect
// for it again and again, as long as the consumer is stuck.
func TestWhatWasLeftIsFetchedWhenThereIsSpaceForIt(t *testing.T) {
	const usual = 16
	for name, c := range map[string]struct {
		limit, bytes, size, has int // messages that the queue has
		left, fetched           int // weight of the message that is left, and messages in the queue when it is fetched
	}{
		"messages":                {usual, 1 << 20, 0, usual, 0, usual / 2},
		"bytes":                   {usual, 1000, 100, 10, 100, 5},
		"a large one":             {usual, 1000, 100, 3, 900, 1},
		"one larger than all":     {usual, 1000, 100, 3, 5000, 0},
		"excess":                  {1 << 20, 100 * emptyMessage, 0, 100, 0, 50},
		"excess in a small space": {1 << 20, emptyMessage, 0, usual, 0, usual / 2},
	} {
		q := newQueue(SubscribeOptions{BufferBytes: c.bytes})
		q.remote.fetch, q.remote.limit, q.remote.usual = func() {}, new(atomic.Int64), usual
		q.remote.limit.Store(int64(c.limit))
		for range c.has {
			require.Equal(t, pushTaken, push(q, &Message{QoS: 1, Payload: make([]byte, c.size)}), name)
		}
		require.Equal(t, pushFull, push(q, &Message{QoS: 1, Payload: make([]byte, c.left)}), name)
		first, fetch := q.leaveOnServer(session.Token{}, c.left, false)
		require.True(t, first, name)
		left := c.has
		for ; fetch == nil; left-- {
			q.mu.Lock()
			q.firm.remove(c.size)
			_, fetch = q.noteTakenLocked()
			q.mu.Unlock()
		}
		require.Equal(t, c.fetched, left, name)
	}
}

func TestOldMessagesGoFromBehindThoseThatStay(t *testing.T) {
	q := newQueue(SubscribeOptions{BufferMessages: 2, Overflow: DropOldest})
	for i := range 3000 {
		require.Equal(t, pushTaken, push(q, queued(1, fmt.Sprint("kept ", i))))
	}
	for i := range 10_000 {
		push(q, queued(0, fmt.Sprint(i)))
	}
	require.Equal(t, 2, q.lossy.messages)
	require.Equal(t, uint64(9998), q.lost())
	require.LessOrEqual(t, len(q.items), 3*3002, "the places of those that were dropped are used again")
	for i := range 3000 {
		wantQueued(t, q, fmt.Sprint("kept ", i))
	}
	wantQueued(t, q, "9998", "9999")
}

func TestLastMessageOfADrainWakesTheOthers(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	for range 2 { // consumers find it empty and wait
		_, ok, _ := pop(q)
		require.False(t, ok)
	}
	push(q, queued(0, "last"))
	q.finishWhenEmpty(ErrUnsubscribed) // before the first of them has been told of the message
	require.True(t, hasToken(q.ready))
	q.woken()
	wantQueued(t, q, "last")
	require.True(t, hasToken(q.ready), "the other one is told of the end")
}

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
					_, _, err := q.pop(&c.consumer, c.done, c.batch, false)
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
		"drained": {func(q *queue) { q.finishWhenEmpty(ErrUnsubscribed) }, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue(SubscribeOptions{})
			for range 4 {
				push(q, queued(1, "x"))
			}
			h := new(consumer)
			q.addConsumer(h)
			var taken [3]item
			n, _, err := q.pop(h, 0, taken[:], false)
			require.NoError(t, err)
			require.Equal(t, 3, n)
			c.end(q)
			require.Len(t, q.removeConsumer(h, taken[:]...), c.left)
			require.Len(t, q.cutOff(ErrUnsubscribed), c.kept)
		})
	}
}

func TestStatesOfASubscription(t *testing.T) {
	same := func(s state) [5]state { return [5]state{s, s, s, s, s} }
	with := func(all [5]state, m move, to state) [5]state {
		all[m] = to
		return all
	}
	want := map[state][5]state{
		fresh:       with(same(fresh), moveAdd, subscribing),
		subscribing: with(with(with(same(subscribing), moveGranted, active), moveDrain, draining), moveRemove, ended),
		active:      with(with(same(active), moveDrain, draining), moveRemove, ended),
		draining:    with(same(draining), moveRemove, emptying),
		emptying:    with(same(emptying), moveEmptied, drained),
		drained:     same(drained),
		ended:       same(ended),
	}
	for from, all := range want {
		for m, to := range all {
			require.Equal(t, to, from.after(move(m)), "from %d by %d", from, m)
		}
	}
}
