package mqtt

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

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
	s.queue.init(&s.options, new(atomic.Uint64))
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
