package mqtt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLastMessageOfADrainWakesTheOthers(t *testing.T) {
	q := newQueue(SubscribeOptions{})
	for range 2 { // consumers find it empty and wait
		_, ok, _ := pop(q)
		require.False(t, ok)
	}
	push(q, queued(0, "last"))
	q.finishWhenEmpty() // before the first of them has been told of the message
	require.True(t, hasToken(q.ready))
	q.woken()
	wantQueued(t, q, "last")
	require.True(t, hasToken(q.ready), "the other one is told of the end")
}
