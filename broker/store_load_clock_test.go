package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimesFromTheDiskAreOnTheMonotonicClock(t *testing.T) {
	l := &loading{now: time.Now()}
	monotonic := func(t time.Time) bool { return strings.Contains(t.String(), " m=") }
	for _, d := range []time.Duration{-time.Hour, 0, time.Hour} {
		stored := time.Unix(0, time.Now().Add(d).UnixNano())
		require.False(t, monotonic(stored))
		placed := l.monotonic(stored)
		require.True(t, monotonic(placed))
		require.True(t, placed.Equal(stored))
	}
	require.Zero(t, l.monotonic(time.Time{}))
	far := time.Unix(0, 1<<63-1).AddDate(300, 0, 0)
	require.Equal(t, far, l.monotonic(far))
}
