package session

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func withAlias(topic string, alias uint16) *wire.Publish {
	return &wire.Publish{Topic: topic, Properties: &wire.PublishProperties{TopicAlias: alias}}
}

func TestAliasesOfThePeerTakeABoundedNumberOfBytes(t *testing.T) {
	a := aliases{max: 64}
	long := strings.Repeat("x", 60_000)
	for alias := range uint16(64) {
		require.NoError(t, a.resolve(withAlias(long, alias+1)), "the message itself is fine")
		require.LessOrEqual(t, a.bytes, aliasBytes(64))
	}
	require.NoError(t, a.resolve(withAlias("", 1)))
	err := a.resolve(withAlias("", 64))
	require.ErrorIs(t, err, wire.QuotaExceeded)

	require.NoError(t, a.resolve(withAlias("short", 1)), "the place of a long one")
	p := withAlias("", 1)
	require.NoError(t, a.resolve(p))
	require.Equal(t, "short", p.Topic)
	require.NoError(t, a.resolve(withAlias(long, 2)))
	require.NoError(t, a.resolve(withAlias("", 2)))
	require.Equal(t, len(long)+len("short"), a.bytes)
}

func TestUsualAliasesFitWhateverTheirNumber(t *testing.T) {
	for _, n := range []int{1, 64, 1000, 65535} {
		a := aliases{max: uint16(n)}
		for alias := 1; alias <= n; alias++ {
			require.NoError(t, a.resolve(withAlias(strings.Repeat("t", 500), uint16(alias))))
		}
		require.False(t, a.forgot)
	}
}

func TestAliasesThatWeChooseTakeABoundedNumberOfBytes(t *testing.T) {
	a := topicAliases{max: 64}
	for round := range 4 {
		for i := range 100 {
			topic := strings.Repeat(string(rune('a'+i%26)), 60_000+i)
			if alias, known := a.choose(topic); alias > 0 && !known {
				a.set(alias, topic)
			}
			require.LessOrEqual(t, a.bytes, aliasBytes(64), "round %d", round)
		}
	}
	sum := 0
	for _, u := range a.used {
		sum += len(u.topic)
	}
	require.Equal(t, sum, a.bytes)
	require.NotZero(t, sum)
}
