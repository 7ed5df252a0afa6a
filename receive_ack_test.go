package mqtt

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// received returns an engine that has got n QoS 1 messages, and their acknowledgers. Each
// of them went to as many Subscriptions as lists says.
func received(t *testing.T, c *Client, n int, lists ...*holdList) (*session.Client, []acknowledger) {
	t.Helper()
	engine := session.NewClient(session.ClientSettings{})
	receiver := engine.Receiver
	receiver.Start(false, 0, 0)
	c.engine.Client, c.inbox.engine, c.inbox.holds, c.holds.timer.stopped = engine, &c.engine, &c.holds, true
	c.holds.answer, c.holds.plain.holds = c.inbox.answer, &c.holds
	var acks []acknowledger
	h := &c.holds
	for i := range n {
		deliver, token, err := receiver.Publish(&wire.Publish{Topic: "t", QoS: wire.AtLeastOnce, PacketID: uint16(i + 1)})
		require.NoError(t, err)
		require.True(t, deliver)
		if len(lists) == 1 {
			acks = append(acks, h.placeOne(lists[0], token, 10))
			continue
		}
		share := h.share(len(lists))
		for _, s := range lists {
			acks = append(acks, acknowledger{&h.plain, h.place(s, token, 10, share, 0)})
		}
	}
	return engine, acks
}

func TestGatheredAcknowledgementsWakeTheWriterOnce(t *testing.T) {
	c := new(Client)
	engine, gathered := received(t, c, 3, new(holdList))
	k := &outbox{wake: make(chan struct{}, 1)}
	gathered[0].acknowledge(Success) // nobody is there to wake
	c.holds.handLocked(engine)
	c.holds.serve(k)
	require.False(t, hasToken(k.wake))
	gathered[1].acknowledge(Success)
	require.True(t, hasToken(k.wake))
	gathered[2].acknowledge(Success)
	require.False(t, hasToken(k.wake), "it comes for all of them")
	tokens := []session.Token{c.holds.due[0].token, c.holds.due[1].token}
	c.holds.handLocked(engine)
	require.Empty(t, c.holds.due)
	for _, token := range tokens {
		require.ErrorIs(t, engine.Receiver.Ack(token, Success), session.ErrStale, "it is acknowledged")
	}
}

func TestMessageAndItsCopiesAreAcknowledgedOnce(t *testing.T) {
	c := new(Client)
	_, gathered := received(t, c, 1, new(holdList))
	m := &Message{acknowledger: gathered[0]}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			kept := *m
			kept.acknowledger.acknowledge(Success)
		})
		wg.Go(func() { m.acknowledger.acknowledge(Success) })
	}
	wg.Wait()
	require.Len(t, c.holds.due, 1)
}

func TestAcknowledgerOfAnEarlierUseOfTheHoldMeansNothing(t *testing.T) {
	c := new(Client)
	s := new(holdList)
	_, first := received(t, c, 1, s)
	first[0].acknowledge(Success)
	_, second := received(t, c, 1, s)
	require.Equal(t, first[0].number, second[0].number, "it is used again")
	first[0].acknowledge(Success)
	require.NoError(t, (&Message{acknowledger: first[0]}).Ack())
	require.Len(t, c.holds.due, 1)
	require.Equal(t, 1, s.held.Messages)
	second[0].acknowledge(Success)
	require.Len(t, c.holds.due, 2)
	require.Zero(t, s.held)
}

func TestLastOfSeveralAcknowledgementsCounts(t *testing.T) {
	c := new(Client)
	_, shares := received(t, c, 1, new(holdList), new(holdList), new(holdList))
	for i := range shares {
		require.Empty(t, c.holds.due)
		shares[i].acknowledge(Success)
		if i < 2 {
			shares[i].acknowledge(Success) // again: means nothing
		}
	}
	require.Len(t, c.holds.due, 1)
}

func TestHoldsAreCountedWhereTheyAre(t *testing.T) {
	c := new(Client)
	mine, yours := new(holdList), new(holdList)
	_, r := received(t, c, 4, mine)
	require.Equal(t, Held{Messages: 4, Bytes: 40}, mine.held)
	r[1].acknowledge(Success)
	r[3].moveTo(yours)
	r[0].moveTo(yours)
	require.Equal(t, Held{Messages: 1, Bytes: 10}, mine.held)
	require.Equal(t, Held{Messages: 2, Bytes: 20}, yours.held)
	require.Equal(t, 3, c.holds.total().Messages)
	for _, i := range []int{0, 3, 2} {
		r[i].acknowledge(Success)
	}
	require.Zero(t, mine.held)
	require.Zero(t, yours.held)
	require.Zero(t, mine.head)
	require.Zero(t, yours.tail)
}

func TestHoldsOfLostSessionsAreBounded(t *testing.T) {
	c := new(Client)
	s := new(holdList)
	for range 5 {
		received(t, c, 10, s)
		c.engine.Receiver.Start(false, 0, 0)
		c.holds.sessionLostLocked(c.engine.Client, 4)
	}
	require.Equal(t, Held{Messages: 4, Bytes: 40}, s.held)
}

func TestHoldsKeepNoMemoryOfBusierTimes(t *testing.T) {
	c := new(Client)
	engine, gathered := received(t, c, 1000, new(holdList))
	for i := range gathered {
		gathered[i].acknowledge(Success)
	}
	c.holds.handLocked(engine)
	require.GreaterOrEqual(t, cap(c.holds.spare), 1000)
	c.holds.trimLocked()
	require.Nil(t, c.holds.spare)
	require.Nil(t, c.holds.due)
	require.Nil(t, c.holds.all)
	require.Equal(t, 1000, engine.Receiver.Unfinished(), "without a connection they are remembered")
}

func TestNumbersOfHoldListsAreUsedAgain(t *testing.T) {
	var h holds
	h.timer.stopped = true
	lists := make([]holdList, 100)
	for round := range 3 {
		for i := range lists {
			h.open(&lists[i])
			require.Same(t, &lists[i], h.lists[lists[i].number], "round %d", round)
		}
		require.Len(t, h.lists, len(lists)+1)
		h.findStall(false)
		require.Len(t, h.unused, len(lists))
	}
}

// newInbox returns an inbox without a client.
func newInbox() *inbox {
	b := &inbox{router: new(router), holds: new(holds)}
	b.router.init(nil, false)
	b.unclaimed.init(b.holds, 0, -1)
	return b
}

// registered is a Subscription on filter t of an inbox, without a connection.
func registered(t *testing.T, b *inbox, k kind) *Subscription {
	t.Helper()
	s := &Subscription{inbox: b, kind: k, options: SubscribeOptions{Filters: []Filter{{Filter: "t"}}}}
	s.queue.init(&s.options, new(dropped))
	require.NoError(t, b.add(s))
	return s
}

func late(payload string) []item {
	m := queued(1, payload)
	m.Topic = "t"
	return []item{{Message: m}}
}

func TestWhatCameTooLateForAHandlerGoesToTheNextThatIsThere(t *testing.T) {
	b := newInbox()
	other := registered(t, b, kindStream) // has got the message itself
	first := registered(t, b, kindHandled)
	b.handBack(first, late("1"), true)
	second := registered(t, b, kindHandled)
	// The reader had found first just before it ended.
	b.giveBackLate(first, late("2"))
	b.giveBackLate(first, late("3"))
	third := registered(t, b, kindHandled)
	wantQueued(t, &second.queue, "1", "2", "3")
	for _, s := range []*Subscription{other, third} {
		_, ok, err := pop(&s.queue)
		require.NoError(t, err)
		require.False(t, ok)
	}
	require.Empty(t, b.unclaimed.messages)
}

func TestWhatCameTooLateWaitsWhereNobodyIs(t *testing.T) {
	b := newInbox()
	first := registered(t, b, kindHandled)
	b.handBack(first, nil, true)
	gone := registered(t, b, kindStream)
	gone.queue.cutOff(ErrUnsubscribed)
	b.giveBackLate(first, late("1"))
	b.remove(gone)
	next := registered(t, b, kindStream)
	wantQueued(t, &next.queue, "1")
}

// What is dropped of a lost session is not taken for acknowledged: a batch with it is not
// done.
func TestHoldsDroppedWithTheirSessionAreNotSettled(t *testing.T) {
	c := new(Client)
	engine, r := received(t, c, 5, new(holdList))
	require.False(t, r[4].isSettled())
	engine.Receiver.Forget()
	c.holds.sessionLostLocked(engine, 2)
	for i, a := range r {
		require.False(t, a.isSettled(), "number %d", i)
	}
	require.Equal(t, 2, c.holds.total().Messages)
	r[4].acknowledge(Success)
	require.True(t, r[4].isSettled())
	require.False(t, r[0].isSettled())
	require.False(t, acknowledger{}.isSettled())
}
