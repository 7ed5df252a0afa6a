package mqtt

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// received returns an engine that has got n QoS 1 messages, and their receipts. Each
// of them went to as many Subscriptions as shelves says.
func received(t *testing.T, c *Client, n int, shelves ...*shelf) (*session.Client, []receipt) {
	t.Helper()
	engine := session.NewClient(session.ClientSettings{})
	receiver := engine.Receiver
	receiver.Start(false, 0, 0)
	c.engine.Client, c.holds.client, c.holds.watch.ended = engine, c, true
	var receipts []receipt
	h := &c.holds
	for i := range n {
		deliver, token, err := receiver.Publish(&wire.Publish{Topic: "t", QoS: wire.AtLeastOnce, PacketID: uint16(i + 1)})
		require.NoError(t, err)
		require.True(t, deliver)
		if len(shelves) == 1 {
			receipts = append(receipts, h.placeOne(shelves[0], token, 10))
			continue
		}
		share := h.share(len(shelves))
		for _, s := range shelves {
			receipts = append(receipts, receipt{h, h.place(s, token, 10, share, 0)})
		}
	}
	return engine, receipts
}

func TestGatheredReceiptsWakeTheWriterOnce(t *testing.T) {
	c := new(Client)
	engine, gathered := received(t, c, 3, new(shelf))
	k := &conn{wake: make(chan struct{}, 1)}
	gathered[0].settle(Success) // nobody is there to wake
	c.holds.hand(engine)
	c.holds.serve(k)
	require.False(t, hasToken(k.wake))
	gathered[1].settle(Success)
	require.True(t, hasToken(k.wake))
	gathered[2].settle(Success)
	require.False(t, hasToken(k.wake), "it comes for all of them")
	tokens := []session.Token{c.holds.due[0].token, c.holds.due[1].token}
	c.holds.hand(engine)
	require.Empty(t, c.holds.due)
	for _, token := range tokens {
		require.ErrorIs(t, engine.Receiver.Ack(token, Success), session.ErrStale, "it is acknowledged")
	}
}

func TestReceiptAndItsCopiesAreGivenOnce(t *testing.T) {
	c := new(Client)
	_, gathered := received(t, c, 1, new(shelf))
	m := &Message{receipt: gathered[0]}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			kept := *m
			kept.receipt.settle(Success)
		})
		wg.Go(func() { m.receipt.settle(Success) })
	}
	wg.Wait()
	require.Len(t, c.holds.due, 1)
}

func TestReceiptOfAnEarlierUseOfTheHoldMeansNothing(t *testing.T) {
	c := new(Client)
	s := new(shelf)
	_, first := received(t, c, 1, s)
	first[0].settle(Success)
	_, second := received(t, c, 1, s)
	require.Equal(t, first[0].number, second[0].number, "it is used again")
	first[0].settle(Success)
	require.NoError(t, (&Message{receipt: first[0]}).Ack())
	require.Len(t, c.holds.due, 1)
	require.Equal(t, 1, s.held.Messages)
	second[0].settle(Success)
	require.Len(t, c.holds.due, 2)
	require.Zero(t, s.held)
}

func TestLastOfSeveralReceiptsCounts(t *testing.T) {
	c := new(Client)
	_, shares := received(t, c, 1, new(shelf), new(shelf), new(shelf))
	for i := range shares {
		require.Empty(t, c.holds.due)
		shares[i].settle(Success)
		if i < 2 {
			shares[i].settle(Success) // again: means nothing
		}
	}
	require.Len(t, c.holds.due, 1)
}

func TestHoldsAreCountedWhereTheyAre(t *testing.T) {
	c := new(Client)
	mine, yours := new(shelf), new(shelf)
	_, r := received(t, c, 4, mine)
	require.Equal(t, Held{Messages: 4, Bytes: 40}, mine.held)
	r[1].settle(Success)
	r[3].move(yours)
	r[0].move(yours)
	require.Equal(t, Held{Messages: 1, Bytes: 10}, mine.held)
	require.Equal(t, Held{Messages: 2, Bytes: 20}, yours.held)
	require.Equal(t, 3, c.holds.total().Messages)
	for _, i := range []int{0, 3, 2} {
		r[i].settle(Success)
	}
	require.Zero(t, mine.held)
	require.Zero(t, yours.held)
	require.Zero(t, mine.head)
	require.Zero(t, yours.tail)
}

func TestHoldsOfLostSessionsAreBounded(t *testing.T) {
	c := new(Client)
	s := new(shelf)
	for range 5 {
		received(t, c, 10, s)
		c.engine.Receiver.Start(false, 0, 0)
		c.holds.forsaken(c.engine.Client, 4)
	}
	require.Equal(t, Held{Messages: 4, Bytes: 40}, s.held)
}

func TestHoldsKeepNoMemoryOfBusierTimes(t *testing.T) {
	c := new(Client)
	engine, gathered := received(t, c, 1000, new(shelf))
	for i := range gathered {
		gathered[i].settle(Success)
	}
	c.holds.hand(engine)
	require.GreaterOrEqual(t, cap(c.holds.spare), 1000)
	c.holds.trim()
	require.Nil(t, c.holds.spare)
	require.Nil(t, c.holds.due)
	require.Nil(t, c.holds.all)
	require.Equal(t, 1000, engine.Receiver.Unfinished(), "without a connection they are remembered")
}

func TestNumbersOfShelvesAreUsedAgain(t *testing.T) {
	var h holds
	h.watch.ended = true
	shelves := make([]shelf, 100)
	for round := range 3 {
		for i := range shelves {
			h.open(&shelves[i])
			require.Same(t, &shelves[i], h.shelves[shelves[i].number], "round %d", round)
		}
		require.Len(t, h.shelves, len(shelves)+1)
		h.findStall(false)
		require.Len(t, h.unused, len(shelves))
	}
}
