package mqtt

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// received returns an engine that has got n QoS 1 messages, and their receipts.
func received(t *testing.T, c *Client, n int) (*session.Client, []receipt) {
	t.Helper()
	engine := session.NewClient(session.ClientSettings{})
	receiver := engine.Receiver
	receiver.Start(false, 0, 0)
	c.engine, c.sole.client = engine, c
	receipts := make([]receipt, n)
	for i := range receipts {
		deliver, token, err := receiver.Publish(&wire.Publish{Topic: "t", QoS: wire.AtLeastOnce, PacketID: uint16(i + 1)})
		require.NoError(t, err)
		require.True(t, deliver)
		receipts[i] = receipt{origin: &c.sole, token: token}
	}
	return engine, receipts
}

func TestGatheredReceiptsWakeTheWriterOnce(t *testing.T) {
	c := new(Client)
	engine, gathered := received(t, c, 3)
	k := &conn{wake: make(chan struct{}, 1)}
	gathered[0].acknowledgeSoon() // nobody is there to wake
	c.receipts.hand(engine)
	c.receipts.serve(k)
	require.False(t, hasToken(k.wake))
	gathered[1].acknowledgeSoon()
	require.True(t, hasToken(k.wake))
	gathered[2].acknowledgeSoon()
	require.False(t, hasToken(k.wake), "it comes for all of them")
	c.receipts.hand(engine)
	require.Empty(t, c.receipts.tokens)
	for _, r := range gathered {
		require.ErrorIs(t, engine.Receiver.Ack(r.token, Success), session.ErrStale, "it is acknowledged")
	}
}

func TestReceiptIsGivenOnce(t *testing.T) {
	c := new(Client)
	_, gathered := received(t, c, 1)
	r := &gathered[0]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(r.acknowledgeSoon)
	}
	wg.Wait()
	require.Len(t, c.receipts.tokens, 1)
}

func TestLastOfSeveralReceiptsCounts(t *testing.T) {
	c := new(Client)
	_, gathered := received(t, c, 1)
	o := &origin{client: c, shared: true}
	o.claims.Store(3)
	shares := []receipt{{origin: o, token: gathered[0].token}, {origin: o, token: gathered[0].token}, {origin: o, token: gathered[0].token}}
	for i := range shares {
		require.Empty(t, c.receipts.tokens)
		shares[i].acknowledgeSoon()
		if i < 2 {
			shares[i].acknowledgeSoon() // again: means nothing
		}
	}
	require.Len(t, c.receipts.tokens, 1)
}

func TestReceiptsKeepNoMemoryOfBusierTimes(t *testing.T) {
	c := new(Client)
	engine, gathered := received(t, c, 1000)
	for i := range gathered {
		gathered[i].acknowledgeSoon()
	}
	c.receipts.hand(engine)
	require.GreaterOrEqual(t, cap(c.receipts.spare), 1000)
	c.receipts.trim()
	require.Nil(t, c.receipts.spare)
	require.Nil(t, c.receipts.tokens)
	require.Equal(t, 1000, engine.Receiver.Unfinished(), "without a connection they are remembered")
}
