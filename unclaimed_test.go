package mqtt

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// registered is a Subscription on filter t of a router, without a connection.
func registered(t *testing.T, r *router, handled bool) *Subscription {
	t.Helper()
	s := &Subscription{handled: handled, options: SubscribeOptions{Filters: []Filter{{Filter: "t"}}}}
	s.queue.init(&s.options, new(atomic.Uint64))
	require.NoError(t, r.add(s))
	return s
}

func late(payload string) []item {
	m := queued(1, payload)
	m.Topic = "t"
	return []item{{Message: m}}
}

func TestWhatCameTooLateForAHandlerGoesToTheNextThatIsThere(t *testing.T) {
	var r router
	r.init(0, false)
	other := registered(t, &r, false) // has got the message itself
	first := registered(t, &r, true)
	r.abandon(first, late("1"), true)
	second := registered(t, &r, true)
	// The reader had found first just before it ended.
	r.giveBackLate(first, late("2"))
	r.giveBackLate(first, late("3"))
	third := registered(t, &r, true)
	wantQueued(t, &second.queue, "1", "2", "3")
	for _, s := range []*Subscription{other, third} {
		_, ok, err := pop(&s.queue)
		require.NoError(t, err)
		require.False(t, ok)
	}
	require.Empty(t, r.unclaimed.held)
}

func TestWhatCameTooLateWaitsWhereNobodyIs(t *testing.T) {
	var r router
	r.init(0, false)
	first := registered(t, &r, true)
	r.abandon(first, nil, true)
	gone := registered(t, &r, false)
	gone.queue.close(ErrUnsubscribed)
	r.giveBackLate(first, late("1"))
	r.remove(gone)
	next := registered(t, &r, false)
	wantQueued(t, &next.queue, "1")
}
