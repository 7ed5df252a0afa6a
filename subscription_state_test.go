package mqtt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
