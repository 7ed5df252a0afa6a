package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// named lets everybody in under the name in CONNECT.
var named = []Authenticator{AuthenticatorFunc(func(context.Context, *Login) Decision { return Allow() })}

func durableConnectOf(v wire.Version, user, id string) *wire.Connect {
	p := durableConnect(v, id)
	if user != "" {
		p.Username = &user
	}
	return p
}

// bill is what somebody ought to be charged for.
type bill struct {
	own  map[string]int
	all  int
	seen map[*message]int
}

func (l *bill) add(h *holder, n int) {
	l.own[h.name] += n
	l.all += n
}

func (l *bill) addCopy(h *holder, m *message, cost int) {
	l.own[h.name] += cost + m.cost()
	l.all += cost
	if l.seen[m]++; l.seen[m] == 1 {
		l.all += m.cost()
	}
}

// wantRecount counts everything that the broker has and compares the sums.
func wantRecount(t *testing.T, b *Broker) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	l := bill{own: map[string]int{}, seen: map[*message]int{}}
	places := map[string]int{}
	for _, cl := range b.clients {
		cl.mu.Lock()
		h := cl.sessionCharge.memory
		places[cl.sessionCharge.place.name]++
		require.Equal(t, costOfSession(cl.seen.peer, cl.will), cl.sessionCharge.cost)
		l.add(h, cl.sessionCharge.cost)
		for _, s := range cl.subscriptions {
			l.add(h, costOf(s))
		}
		require.GreaterOrEqual(t, cl.openCost, cl.receiver.Unfinished()*openCost)
		if cl.conn == nil {
			require.Equal(t, cl.receiver.Unfinished()*openCost, cl.openCost)
		}
		l.add(h, cl.openCost)
		for _, w := range cl.walks {
			require.Equal(t, aheadCost*len(w.ahead), w.cost)
			l.add(h, w.cost)
		}
		waiting := cl.sender.Incomplete(nil)
		require.Len(t, waiting, cl.held.messages)
		for _, o := range waiting {
			e := o.Owner.(*queueEntry)
			l.addCopy(h, e.message, costOfEntry(e.ids))
		}
		cl.mu.Unlock()
	}
	for m := range b.retained.topics.From("") {
		l.addCopy(m.payer, m, retainedCost)
	}
	for m, n := range l.seen {
		require.EqualValues(t, n, m.copies.Load())
	}
	walks := 0
	for _, cl := range b.clients {
		for _, s := range cl.subscriptions {
			if s.walk != nil {
				require.False(t, s.walk.over.Load())
				walks++
			}
		}
	}
	require.EqualValues(t, walks, b.walks.Load())
	require.EqualValues(t, l.all, b.memory.used.Load())
	require.EqualValues(t, len(b.clients), b.sessionQuota.used.Load())
	for q, want := range map[*quota]map[string]int{b.memory: l.own, b.sessionQuota: places} {
		q.holders[""] = q.everybody
		for name, h := range q.holders {
			require.EqualValues(t, want[name], h.used.Load(), name)
			delete(want, name)
		}
		delete(q.holders, "")
		require.Empty(t, want)
	}
}

// TestSumsAreThoseOfEverything does at random whatever costs something, with and without
// a store, and ends everything.
func TestSumsAreThoseOfEverything(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSpender(t, seed)
				for range 300 {
					w.step()
					if w.rng.IntN(10) == 0 {
						wantRecount(t, w.broker())
					}
				}
				w.end()
			})
		})
	}
}

// spender is clients that do whatever costs something.
type spender struct {
	t       *testing.T
	rng     *rand.Rand
	world   *world  // with a store
	plain   *Broker // without
	clients map[string]*script
}

func newSpender(t *testing.T, seed uint64) *spender {
	w := &spender{t: t, rng: rand.New(rand.NewPCG(seed, 1)), clients: map[string]*script{}}
	cfg := Config{Authenticators: named, Memory: 300_000, Sessions: 12, QueuedMessages: 300, RetainedMessages: spentTopics + 8, StatusInterval: -1}
	if seed%2 == 0 {
		w.world = &world{t: t, memory: store.Memory(), cfg: cfg}
		w.world.start(crash{})
		t.Cleanup(w.world.close)
	} else {
		w.plain = New(cfg)
		t.Cleanup(func() { require.NoError(t, w.plain.Close()) })
	}
	for i := range spentTopics {
		require.NoError(t, w.broker().Publish(retain(fmt.Sprint("m/", i), "x")))
	}
	return w
}

// spentTopics is how many topics have a retained message all the time, so that they are
// not sent in one step.
const spentTopics = 400

func (w *spender) broker() *Broker {
	if w.world != nil {
		return w.world.broker
	}
	return w.plain
}

func (w *spender) topic() string {
	if w.rng.IntN(4) == 0 {
		return fmt.Sprint("m/", w.rng.IntN(spentTopics))
	}
	return fmt.Sprint("t/", w.rng.IntN(12))
}

func (w *spender) payload() []byte { return make([]byte, w.rng.IntN(3)*w.rng.IntN(4000)) }

// connect is a new session, one that goes on, a take-over or a clean start.
func (w *spender) connect(id string) {
	v := versions[w.rng.IntN(len(versions))]
	p := durableConnectOf(v, []string{"", "ann", "bob"}[int(id[0])%3], id)
	if p.CleanStart = w.rng.IntN(4) == 0; v == wire.V5 && w.rng.IntN(4) == 0 {
		p.SessionExpiryInterval = 0
	}
	if w.rng.IntN(3) == 0 {
		p.Will = &wire.Will{Topic: w.topic(), Payload: w.payload(), QoS: wire.QoS(w.rng.IntN(3)), Retain: w.rng.IntN(2) == 0}
		if v == wire.V5 {
			p.Will.DelayInterval = uint32(w.rng.IntN(100))
		}
	}
	s := dial(w.t, w.broker(), v)
	s.send(p)
	if ack, err := s.next(); err == nil && ack.(*wire.Connack).ReasonCode == wire.Success {
		w.clients[id] = s
	} else {
		s.net.Close()
	}
}

// publish returns a message of which it may take a while until it is finished.
func (w *spender) publish(v wire.Version) *wire.Publish {
	p := &wire.Publish{Topic: w.topic(), Payload: w.payload(), QoS: wire.QoS(w.rng.IntN(3)), Retain: w.rng.IntN(3) == 0}
	if p.QoS > 0 {
		p.PacketID = uint16(1 + w.rng.IntN(60))
	}
	if v == wire.V5 && w.rng.IntN(2) == 0 {
		p.Properties = &wire.PublishProperties{MessageExpiryInterval: new(uint32(w.rng.IntN(50))), UserProperties: []wire.UserProperty{{Name: "n", Value: "v"}}}
	}
	return p
}

func (w *spender) filter() string {
	return []string{"t/#", "+/+", "#", fmt.Sprint("m/", w.rng.IntN(spentTopics)), "$share/g/t/#", "$share/h/" + w.topic()}[w.rng.IntN(6)]
}

// step does one thing, and takes what comes for somebody.
func (w *spender) step() {
	ids := "abcdefghij"
	id := string(ids[w.rng.IntN(len(ids))])
	s := w.clients[id]
	switch n := w.rng.IntN(100); {
	case n < 2 && w.world != nil:
		clear(w.clients)
		w.world.kill()
	case n < 6:
		advance(time.Duration(w.rng.IntN(40)) * time.Second)
	case n < 10:
		_ = w.broker().Publish(w.publish(wire.V5))
	case s == nil || n < 20:
		w.connect(id)
	case n < 28:
		s.net.Close()
		delete(w.clients, id)
	case n < 31:
		w.try(id, &wire.Disconnect{})
		s.net.Close()
		delete(w.clients, id)
	case n < 50:
		p := &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter(w.filter(), wire.QoS(w.rng.IntN(3)))}}
		if s.version == wire.V5 {
			p.SubscriptionID = uint32(w.rng.IntN(3))
		}
		w.try(id, p)
	case n < 55:
		w.try(id, &wire.Unsubscribe{PacketID: 2, Filters: []string{w.filter()}})
	case n < 80:
		w.try(id, w.publish(s.version))
	case n < 88:
		w.try(id, &wire.Pubrel{PacketID: uint16(1 + w.rng.IntN(60))})
	default:
		w.take(id)
	}
	synctest.Wait()
}

// try sends something; the broker may have ended the connection.
func (w *spender) try(id string, p wire.Packet) {
	s := w.clients[id]
	b, err := p.Append(nil, s.version)
	require.NoError(w.t, err)
	if _, err := s.net.Write(b); err != nil {
		delete(w.clients, id)
	}
}

// take acknowledges some of what has come.
func (w *spender) take(id string) {
	s := w.clients[id]
	for range w.rng.IntN(30) {
		p, err := s.next()
		if err != nil {
			break
		}
		switch p := p.(type) {
		case *wire.Publish:
			if p.QoS == wire.AtLeastOnce {
				w.try(id, &wire.Puback{PacketID: p.PacketID})
			} else if p.QoS == wire.ExactlyOnce {
				w.try(id, &wire.Pubrec{PacketID: p.PacketID})
			}
		case *wire.Pubrel:
			w.try(id, &wire.Pubcomp{PacketID: p.PacketID})
		}
		if w.clients[id] == nil {
			return
		}
	}
}

// end ends all sessions and retained messages: nothing is left that costs something.
func (w *spender) end() {
	for _, s := range w.clients {
		s.net.Close()
	}
	advance(10 * time.Minute)
	b := w.broker()
	for _, info := range b.Clients() {
		v := info.Peer.Version
		p := durableConnectOf(v, info.Peer.Username, info.Peer.ClientID)
		p.CleanStart, p.SessionExpiryInterval = true, 0
		s, _ := join(w.t, b, v, p)
		s.cut()
	}
	for i := range 12 {
		require.NoError(w.t, b.Publish(&wire.Publish{Topic: fmt.Sprint("t/", i), Retain: true}))
	}
	for i := range spentTopics {
		require.NoError(w.t, b.Publish(&wire.Publish{Topic: fmt.Sprint("m/", i), Retain: true}))
	}
	wantNoWalk(w.t, b)
	require.Zero(w.t, b.Stats().Memory)
	require.Zero(w.t, b.sessionQuota.used.Load())
	require.Empty(w.t, b.memory.holders)
	require.Empty(w.t, b.sessionQuota.holders)
}

func TestNobodyTakesAllSessions(t *testing.T) {
	for v, code := range map[wire.Version]wire.ReasonCode{wire.V31: wire.ServerUnavailable, wire.V311: wire.ServerUnavailable, wire.V5: wire.QuotaExceeded} {
		run(t, Config{Authenticators: named, Sessions: 100}, func(t *testing.T, b *Broker) {
			greedy := 0
			for ; ; greedy++ {
				s := dial(t, b, v)
				s.send(durableConnectOf(v, "greedy", fmt.Sprint("g", greedy)))
				if got := receive[*wire.Connack](s).ReasonCode; got != wire.Success {
					require.Equal(t, code, got)
					s.closed()
					break
				}
				s.cut()
			}
			require.Equal(t, 60, greedy)
			for i := range 40 { // all others get in
				s, _ := join(t, b, v, durableConnectOf(v, fmt.Sprint("user", i), fmt.Sprint("c", i)))
				s.cut()
			}
			join(t, b, v, durableConnectOf(v, "greedy", "g7")) // is known
			b.DropConnections()
			wantRecount(t, b)
		})
	}
}

func TestOneMayHaveAllSessionsWhereAllAreOne(t *testing.T) {
	run(t, Config{Sessions: 10}, func(t *testing.T, b *Broker) {
		for i := range 10 {
			clean(t, b, fmt.Sprint(i))
		}
		s := dial(t, b, wire.V5)
		s.send(durableConnect(wire.V5, "more"))
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Connack](s).ReasonCode)
	})
}

func TestMemoryOfSessionsIsBounded(t *testing.T) {
	run(t, Config{Authenticators: named, Memory: 1 << 20}, func(t *testing.T, b *Broker) {
		connect := func(user, id string, will int) wire.ReasonCode {
			p := durableConnectOf(wire.V5, user, id)
			if will > 0 {
				p.Will = &wire.Will{Topic: "w", Payload: make([]byte, will), DelayInterval: 3600}
			}
			s := dial(t, b, wire.V5)
			s.send(p)
			code := receive[*wire.Connack](s).ReasonCode
			s.cut()
			return code
		}
		n := 0
		for ; connect("greedy", fmt.Sprint("g", n), 50_000) == wire.Success; n++ {
		}
		require.Greater(t, n, 8)
		require.Less(t, b.Stats().Memory, 1<<20*3/5+1)
		require.Equal(t, wire.QuotaExceeded, connect("greedy", "more", 50_000))
		require.Equal(t, wire.Success, connect("modest", "m", 50_000))
		// Who is known gets in, but does not grow.
		require.Equal(t, wire.Success, connect("greedy", "g0", 50_000))
		require.Equal(t, wire.QuotaExceeded, connect("greedy", "g0", 60_000))
		require.Equal(t, wire.Success, connect("greedy", "g0", 0))
		require.Equal(t, wire.Success, connect("greedy", "g0", 40_000))
		wantRecount(t, b)
	})
}

func TestMemoryOfSubscriptionsIsBounded(t *testing.T) {
	for v, code := range map[wire.Version]wire.ReasonCode{wire.V31: wire.UnspecifiedError, wire.V311: wire.UnspecifiedError, wire.V5: wire.QuotaExceeded} {
		run(t, Config{Authenticators: named, Memory: 1 << 20}, func(t *testing.T, b *Broker) {
			subscribe := func(s *script, i int) wire.ReasonCode {
				s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter(fmt.Sprint(i, strings.Repeat("x", 20_000)), 0)}})
				return receive[*wire.Suback](s).ReasonCodes[0]
			}
			greedy, _ := join(t, b, v, durableConnectOf(v, "greedy", "g"))
			n := 0
			var got wire.ReasonCode
			for ; got == wire.GrantedQoS0; n++ {
				got = subscribe(greedy, n)
			}
			require.Equal(t, code, got)
			require.Greater(t, n, 8)
			require.Equal(t, wire.GrantedQoS0, subscribe(greedy, 0)) // is there
			modest, _ := join(t, b, v, durableConnectOf(v, "modest", "m"))
			require.Equal(t, wire.GrantedQoS0, subscribe(modest, 0))
			wantRecount(t, b)
			greedy.cut()
			modest.cut()
		})
	}
}

func TestMemoryOfQueuesIsBounded(t *testing.T) {
	run(t, Config{Authenticators: named, Memory: 1 << 20}, func(t *testing.T, b *Broker) {
		for i := range 20 {
			s, _ := join(t, b, wire.V5, durableConnectOf(wire.V5, "greedy", fmt.Sprint("g", i)))
			s.subscribe(filter(fmt.Sprint("g/", i), 1), filter("all", 1))
			s.cut()
		}
		s, _ := join(t, b, wire.V5, durableConnectOf(wire.V5, "modest", "m"))
		s.subscribe(filter("m", 1))
		s.cut()
		sent := 0
		for i := range 400 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: fmt.Sprint("g/", i%20), Payload: make([]byte, 4000), QoS: 1}))
			sent++
		}
		dropped := int(b.Stats().Dropped)
		require.Greater(t, dropped, 200)
		waiting := 0
		for _, info := range b.Clients() {
			waiting += info.Waiting
		}
		require.Equal(t, sent, waiting+dropped)
		require.LessOrEqual(t, b.Stats().Memory, 1<<20*3/5)
		require.NoError(t, b.Publish(&wire.Publish{Topic: "m", Payload: make([]byte, 50_000), QoS: 1}))
		require.EqualValues(t, dropped, b.Stats().Dropped)
		wantRecount(t, b)
	})
}

func TestAMessageForManyCountsOnce(t *testing.T) {
	run(t, Config{Memory: 1 << 20}, func(t *testing.T, b *Broker) {
		for i := range 50 {
			s, _ := join(t, b, wire.V5, durableConnect(wire.V5, fmt.Sprint(i)))
			s.subscribe(filter("all", 1))
			s.cut()
		}
		for range 5 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "all", Payload: make([]byte, 100_000), QoS: 1, Retain: true}))
		}
		require.Zero(t, b.Stats().Dropped)
		wantRecount(t, b)
	})
}

func TestAMessageWithoutRoomGoesToAnotherMember(t *testing.T) {
	run(t, Config{Authenticators: named, Memory: 1 << 20}, func(t *testing.T, b *Broker) {
		for _, id := range []string{"greedy", "modest"} {
			s, _ := join(t, b, wire.V5, durableConnectOf(wire.V5, id, id))
			s.subscribe(filter("$share/g/a", 1), filter(id, 1))
			s.cut()
		}
		for range 100 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "greedy", Payload: make([]byte, 20_000), QoS: 1}))
		}
		before := b.Stats().Dropped
		require.NotZero(t, before)
		for range 4 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: make([]byte, 20_000), QoS: 1}))
		}
		require.Equal(t, before, b.Stats().Dropped)
		for _, info := range b.Clients() {
			if info.Peer.ClientID == "modest" {
				require.Equal(t, 4, info.Waiting)
			}
		}
		wantRecount(t, b)
	})
}

func TestMemoryOfRetainedMessagesIsBounded(t *testing.T) {
	run(t, Config{Authenticators: named, Memory: 1 << 20}, func(t *testing.T, b *Broker) {
		publish := func(s *script, topic string, size int) wire.ReasonCode {
			s.send(&wire.Publish{Topic: topic, Payload: make([]byte, size), QoS: 1, PacketID: 1, Retain: true})
			return receive[*wire.Puback](s).ReasonCode
		}
		greedy, _ := join(t, b, wire.V5, durableConnectOf(wire.V5, "greedy", "g"))
		n := 0
		for ; !publish(greedy, fmt.Sprint("g/", n), 20_000).Failed(); n++ {
		}
		require.Greater(t, n, 10)
		require.Equal(t, wire.QuotaExceeded, publish(greedy, "g/0", 40_000))
		require.Equal(t, wire.NoMatchingSubscribers, publish(greedy, "g/0", 10_000))
		modest, _ := join(t, b, wire.V5, durableConnectOf(wire.V5, "modest", "m"))
		require.Equal(t, wire.NoMatchingSubscribers, publish(modest, "m", 20_000))
		// A topic is paid for by who has published there last.
		require.Equal(t, wire.NoMatchingSubscribers, publish(modest, "g/1", 20_000))
		require.NoError(t, b.Publish(retain("program", strings.Repeat("x", 300_000))))
		wantRecount(t, b)
		greedy.cut()
		modest.cut()
	})
}

func TestMemoryOfUnfinishedMessagesIsBounded(t *testing.T) {
	for _, v := range versions {
		run(t, Config{Authenticators: named, Memory: 40_000}, func(t *testing.T, b *Broker) {
			s, _ := join(t, b, v, durableConnectOf(v, "u", "c"))
			watcher, _ := join(t, b, v, durableConnectOf(v, "w", "w"))
			watcher.subscribe(filter("a", 0))
			n := 0
			for ; ; n++ {
				s.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: uint16(1 + n)})
				p, err := s.next()
				if err != nil || p.Type() != wire.TypePubrec {
					if v == wire.V5 {
						require.Equal(t, wire.QuotaExceeded, p.(*wire.Disconnect).ReasonCode)
					}
					break
				}
				receive[*wire.Publish](watcher)
			}
			s.cut()
			watcher.idle() // what was not taken was not passed on
			wantRecount(t, b)
			require.Less(t, n, 300)
			s, _ = join(t, b, v, durableConnectOf(v, "u", "c"))
			for id := range n {
				s.send(&wire.Pubrel{PacketID: uint16(1 + id)})
				receive[*wire.Pubcomp](s)
			}
			s.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: uint16(1 + n)})
			receive[*wire.Pubrec](s)
			receive[*wire.Publish](watcher)
			s.cut()
			watcher.cut()
		})
	}
}

func TestTheSumIsThereAfterARestart(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		b := w.broker
		s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		s.subscribe(filter("a/#", 1))
		s.cut()
		for i := range 10 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: fmt.Sprint("a/", i), Payload: make([]byte, 1000), QoS: 1, Retain: true}))
		}
		before := b.Stats().Memory
		w.cfg.Memory = 1000 // whatever the limit is
		b = w.kill()
		// What is retained and what waits are no longer the same in memory.
		require.Greater(t, b.Stats().Memory, before)
		wantRecount(t, b)
		require.ErrorIs(t, b.Publish(retain("b", "x")), wire.QuotaExceeded)
		s = resume(t, b, wire.V5, "c")
		for range 10 {
			receiveAs(s)
		}
		wantRecount(t, b)
	})
}
