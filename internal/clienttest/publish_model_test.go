package clienttest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// plainQueue is the outgoing queue in the plainest words: a slice that is searched for
// everything. Random use of a client is compared with it, step by step.
type plainQueue struct {
	cfg      mqtt.Config
	waiting  []*plainMessage
	flying   []*plainMessage
	sent     []*plainMessage // since the last look, in order
	failed   []*plainMessage // likewise
	online   bool
	latest   map[bool]bool // per class, QoS 1 and 2 or not: FullKeepLatest has begun
	accepted int
	dropped  int
}

type plainMessage struct {
	mqtt.Message
	number   int
	id       uint16 // of the packet, when it was sent
	size     int
	due      time.Time // zero: never
	err      error     // why it failed
	over     bool
	delivery *mqtt.Delivery
}

func (m *plainMessage) acked() bool { return m.QoS > 0 }

func load(list []*plainMessage) (messages, bytes int) {
	for _, m := range list {
		bytes += m.size
	}
	return len(list), bytes
}

func (q *plainQueue) ofClass(acked bool) (list []*plainMessage) {
	for _, m := range q.waiting {
		if m.acked() == acked {
			list = append(list, m)
		}
	}
	return list
}

// fits says whether m has room when those without are gone.
func (q *plainQueue) fits(m *plainMessage, without ...*plainMessage) bool {
	in := func(list []*plainMessage, messages, bytes int) bool {
		n, b := load(slices.DeleteFunc(slices.Clone(list), func(o *plainMessage) bool { return slices.Contains(without, o) }))
		return n == 0 || n < messages && b+m.size <= bytes
	}
	if !in(q.waiting, q.cfg.QueueMessages, q.cfg.QueueBytes) {
		return false
	}
	own := q.cfg.QueueAtMostOnce
	if own.Messages == 0 {
		own.Messages = q.cfg.QueueMessages
	}
	if own.Bytes == 0 {
		own.Bytes = q.cfg.QueueBytes
	}
	return m.acked() || in(q.ofClass(false), own.Messages, own.Bytes)
}

func (q *plainQueue) fail(err error, list ...*plainMessage) {
	for _, m := range list {
		q.waiting = slices.DeleteFunc(q.waiting, func(o *plainMessage) bool { return o == m })
		m.err, m.over = err, true
		q.failed = append(q.failed, m)
	}
}

// drop is fail by a policy.
func (q *plainQueue) drop(list ...*plainMessage) {
	q.dropped += len(list)
	q.fail(mqtt.ErrQueueFull, list...)
}

func (q *plainQueue) policy(m *plainMessage) mqtt.FullPolicy {
	if m.acked() {
		return q.cfg.WhenFull.Acknowledged
	}
	return q.cfg.WhenFull.AtMostOnce
}

// publish returns why m is refused.
func (q *plainQueue) publish(m *plainMessage) error {
	if m.NotQueued || !m.acked() && q.cfg.QueueAtMostOnce.Messages < 0 {
		switch {
		case !q.online:
			return mqtt.ErrNotConnected
		case len(q.waiting) > 0 || !q.mayFly(m):
			return mqtt.ErrQueueFull
		}
	} else if ok, refused := q.makeRoom(m); refused {
		return mqtt.ErrQueueFull
	} else if !ok {
		q.accepted++
		q.drop(m)
		return nil
	}
	q.accepted++
	q.waiting = append(q.waiting, m)
	q.pump()
	return nil
}

func (q *plainQueue) makeRoom(m *plainMessage) (ok, refused bool) {
	policy := q.policy(m)
	if policy == mqtt.FullKeepLatest {
		return q.keepLatest(m), false
	}
	if q.fits(m) {
		return true, false
	}
	switch policy {
	case mqtt.FullBlock, mqtt.FullFail:
		return false, true
	case mqtt.FullDropOldest:
		all := q.ofClass(m.acked())
		if len(all) == 0 || !q.fits(m, all...) {
			return false, false
		}
		n := 0
		for !q.fits(m, all[:n]...) {
			n++
		}
		victims := slices.Clone(all[:n])
		for i := n - 2; i >= 0; i-- {
			if spared := slices.Delete(slices.Clone(victims), i, i+1); q.fits(m, spared...) {
				victims = spared
			}
		}
		q.drop(victims...)
		return true, false
	}
	return false, false
}

func (q *plainQueue) keepLatest(m *plainMessage) bool {
	if !q.latest[m.acked()] && q.fits(m) {
		return true
	}
	all := q.ofClass(m.acked())
	var earlier []*plainMessage
	for i, o := range all {
		later := func(l *plainMessage) bool { return l.Topic == o.Topic }
		if later(m) || slices.ContainsFunc(all[i+1:], later) {
			earlier = append(earlier, o)
		}
	}
	ok := q.fits(m, earlier...)
	if ok || len(earlier) == 0 && len(all) > 0 {
		q.latest[m.acked()] = true
	}
	if ok {
		q.drop(earlier...)
	}
	q.look()
	return ok
}

// look ends FullKeepLatest where nothing waits.
func (q *plainQueue) look() {
	for _, acked := range []bool{false, true} {
		if len(q.ofClass(acked)) == 0 {
			q.latest[acked] = false
		}
	}
}

func (q *plainQueue) mayFly(m *plainMessage) bool {
	n, bytes := load(q.flying)
	return !m.acked() || n < q.cfg.Inflight && (n == 0 || bytes+m.size <= q.cfg.QueueBytes)
}

func (q *plainQueue) pump() {
	for q.online && len(q.waiting) > 0 && q.mayFly(q.waiting[0]) {
		m := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.sent = append(q.sent, m)
		if m.acked() {
			q.flying = append(q.flying, m)
		} else {
			m.over = true
		}
	}
	q.look()
}

// pass lets time pass until now.
func (q *plainQueue) pass(now time.Time) {
	for {
		var first *plainMessage
		for _, m := range q.waiting {
			if !m.due.IsZero() && !m.due.After(now) && (first == nil || m.due.Before(first.due)) {
				first = m
			}
		}
		if first == nil {
			return
		}
		for _, m := range slices.Clone(q.waiting) {
			if m.due.Equal(first.due) {
				q.fail(mqtt.ErrExpired, m)
			}
		}
		q.pump()
	}
}

// queueWorld is a client, its server, and the queue that it should have.
type queueWorld struct {
	t      *testing.T
	random *rand.Rand
	srv    *mqtttest.Server
	client *mqtt.Client
	conn   *mqtttest.Conn
	queue  plainQueue
	all    []*plainMessage
	told   chan mqtt.Undelivered

	published int
}

func newQueueWorld(t *testing.T, random *rand.Rand) *queueWorld {
	w := &queueWorld{t: t, random: random, srv: mqtttest.NewServer(t, wire.V5), told: make(chan mqtt.Undelivered, 1000)}
	cfg := Quiet(w.srv)
	cfg.Inflight = 1 + random.IntN(4)
	cfg.QueueMessages, cfg.QueueBytes = 1+random.IntN(8), 200+random.IntN(2000)
	cfg.QueueAge = time.Duration(random.IntN(3)) * 10 * time.Second
	cfg.WhenFull = mqtt.WhenFull{AtMostOnce: mqtt.FullPolicy(random.IntN(5)), Acknowledged: mqtt.FullPolicy(random.IntN(5))}
	switch random.IntN(3) {
	case 0:
		cfg.QueueAtMostOnce = mqtt.QueueLimits{Messages: 1 + random.IntN(4), Bytes: 200 + random.IntN(1000), Age: time.Duration(random.IntN(8)) * time.Second}
	case 1:
		cfg.QueueAtMostOnce.Messages = -random.IntN(2)
	}
	cfg.Undelivered = func(u mqtt.Undelivered) { w.told <- u }
	w.queue = plainQueue{cfg: cfg, latest: map[bool]bool{}, online: true}
	w.client, w.conn = Open(t, w.srv, cfg)
	return w
}

func (w *queueWorld) publish() {
	w.published++
	m := &plainMessage{number: w.published}
	m.Topic, m.QoS, m.NotQueued = fmt.Sprintf("t/%d", w.random.IntN(4)), mqtt.QoS(w.random.IntN(3)), w.random.IntN(6) == 0
	m.Payload = append(fmt.Appendf(nil, "%d ", m.number), make([]byte, w.random.IntN(500))...)
	p := wire.Publish{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS}
	if age := w.queue.cfg.QueueAge; age > 0 {
		m.due = time.Now().Add(age)
	}
	if age := w.queue.cfg.QueueAtMostOnce.Age; age > 0 && m.QoS == 0 {
		m.due = time.Now().Add(age)
	}
	if w.random.IntN(3) == 0 {
		d := time.Duration(1+w.random.IntN(20)) * time.Second
		m.MessageExpiryInterval = &d
		p.Properties = &wire.PublishProperties{MessageExpiryInterval: new(uint32(1))}
		if at := time.Now().Add(d); m.due.IsZero() || at.Before(m.due) {
			m.due = at
		}
	}
	m.size = p.Cost()
	want := w.queue.publish(m)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Nanosecond) // who would wait is refused
	defer cancel()
	d, err := w.client.PublishAsync(ctx, &m.Message)
	if want != nil {
		require.ErrorIs(w.t, err, want)
		require.True(w.t, mqtt.NotSent(err))
		return
	}
	require.NoError(w.t, err)
	m.delivery = d
	w.all = append(w.all, m)
}

// acknowledge has the server answer the message that has been under way longest.
func (w *queueWorld) acknowledge() {
	if len(w.queue.flying) == 0 || !w.queue.online {
		return
	}
	m := w.queue.flying[0]
	w.queue.flying = w.queue.flying[1:]
	m.over = true
	w.queue.pump()
	if m.QoS == 1 {
		w.conn.Send(Puback(m.id))
		return
	}
	w.conn.Send(Pubrec(m.id))
	w.conn.Want(Pubrel(m.id))
	w.conn.Send(Pubcomp(m.id))
}

func (w *queueWorld) cut() {
	if !w.queue.online {
		return
	}
	w.conn.Send(&wire.Disconnect{ReasonCode: wire.ServerBusy}) // so that no message is suspected of the end
	w.conn.Close()
	w.srv.Refuse()
	w.queue.online = false
}

// reconnect brings the connection back, with the session.
func (w *queueWorld) reconnect() {
	if w.queue.online {
		return
	}
	w.srv.Listen()
	w.conn = w.srv.Connected(Resumed())
	w.queue.pass(time.Now())
	w.queue.online = true
	for _, m := range w.queue.flying {
		p := mqtttest.Take[*wire.Publish](w.conn)
		require.True(w.t, p.Duplicate)
		require.Equal(w.t, m.id, p.PacketID)
	}
	w.queue.pump()
}

func (w *queueWorld) pass(d time.Duration) {
	time.Sleep(d)
	w.queue.pass(time.Now())
}

// look compares what can be seen of the client with the queue.
func (w *queueWorld) look() {
	t, q := w.t, &w.queue
	synctest.Wait()
	for _, m := range q.sent {
		p := mqtttest.Take[*wire.Publish](w.conn)
		require.Equal(t, m.Payload, p.Payload)
		require.False(t, p.Duplicate)
		m.id = p.PacketID
	}
	for _, m := range q.failed {
		require.NotEmpty(t, w.told)
		u := <-w.told
		require.Equal(t, &m.Message, u.Message)
		require.ErrorIs(t, u.Err, m.err)
		require.True(t, mqtt.NotSent(u.Err))
	}
	require.Empty(t, w.told)
	q.sent, q.failed = nil, nil
	for _, m := range w.all {
		require.Equal(t, m.over, Settled(m.delivery), "message %d", m.number)
		if m.over {
			_, err := m.delivery.Wait(t.Context())
			require.True(t, errors.Is(err, m.err), "message %d: %v instead of %v", m.number, err, m.err)
		}
	}
	w.all = slices.DeleteFunc(w.all, func(m *plainMessage) bool { return m.over })
	messages, bytes := load(q.waiting)
	p := w.client.Stats()
	require.Equal(t, []int{messages, bytes, len(q.flying), q.accepted, q.dropped},
		[]int{p.Queued, p.QueuedBytes, p.Inflight, int(p.Published), int(p.QueueDropped)})
}

func TestTheQueueIsLikeASlice(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 13))
			w := newQueueWorld(t, random)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("seed %d: %+v", seed, w.queue.cfg.WhenFull)
				}
			})
			for range 150 {
				switch random.IntN(20) {
				case 0:
					w.cut()
				case 1:
					w.reconnect()
				case 2, 3:
					w.pass(time.Duration(random.IntN(8_000)) * time.Millisecond)
				case 4, 5, 6:
					w.acknowledge()
				default:
					w.publish()
				}
				w.look()
			}
			w.reconnect()
			for w.look(); len(w.queue.flying) > 0; w.look() {
				w.acknowledge()
			}
			require.Empty(t, w.all)
		})
	}
}
