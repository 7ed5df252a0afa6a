package wire

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheCostOfAMessageIsWhatItTakesInMemory(t *testing.T) {
	require.Zero(t, (&Publish{}).Cost())
	require.Zero(t, (*PublishProperties)(nil).Cost())
	require.Equal(t, 8, (&Publish{Topic: "abc", Payload: make([]byte, 5)}).Cost())
	require.Equal(t, 8, (&Publish{Topic: "abc", Payload: make([]byte, 5), Properties: &PublishProperties{SubscriptionIDs: []uint32{7}}}).Cost())
	require.Equal(t, 40, (&Publish{Properties: &PublishProperties{SubscriptionIDs: make([]uint32, 10)}}).Cost())
	require.Equal(t, 9, (&Publish{Properties: &PublishProperties{ContentType: "ct", ResponseTopic: "r/t", CorrelationData: []byte("data")}}).Cost())
	require.Equal(t, 2*32+3, CostOf([]UserProperty{{"a", "bc"}, {}}))
}

func TestTheCostIsThatOfTheHeap(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p := &Publish{Topic: strings.Repeat("t", 60_000), Payload: make([]byte, 1<<20), Properties: &PublishProperties{
		UserProperties: make([]UserProperty, 100_000), CorrelationData: make([]byte, 60_000), SubscriptionIDs: make([]uint32, 10_000),
	}}
	runtime.ReadMemStats(&after)
	require.InEpsilon(t, after.TotalAlloc-before.TotalAlloc, p.Cost(), 0.05)
}
