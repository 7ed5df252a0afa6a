package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestMoreWaitsForAWriterThatIsFast(t *testing.T) {
	s := connectedScript(t, wire.V5)
	const size = 10 << 10
	for range 1000 {
		s.submit(&Outgoing{Publish: wire.Publish{Topic: "t", Payload: make([]byte, size)}})
	}
	// write takes all that waits, which takes some time, and returns how much that was.
	write := func(took time.Duration) int {
		b := s.c.Take(nil, s.now)
		s.now = s.now.Add(took)
		s.c.Wrote(s.now)
		return len(b)
	}
	within := func(room, n int) {
		t.Helper()
		require.GreaterOrEqual(t, n, room)
		require.Less(t, n, room+2*size)
	}
	within(leastRoom, write(time.Millisecond))
	within(leastRoom, write(promptly)) // it was filled when the one before was taken
	for range 4 {
		write(0)
	}
	within(mostRoom, write(promptly+1))
	within(mostRoom, write(promptly+1))
	within(leastRoom, write(0))
}

func TestSmallWritesSayNothingOfTheNetwork(t *testing.T) {
	var r room
	now := time.Unix(1000, 0)
	for range 100 {
		r.takes(leastRoom/2-1, now)
		r.wrote(now)
	}
	require.Equal(t, leastRoom, r.bytes())
	for range 100 {
		r.takes(mostRoom, now)
		r.wrote(now)
	}
	require.Equal(t, mostRoom, r.bytes())
	r.takes(1, now)
	r.wrote(now.Add(promptly + 1))
	require.Equal(t, leastRoom, r.bytes(), "what is slow is slow")
}
