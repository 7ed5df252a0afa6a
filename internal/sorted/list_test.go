package sorted

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

type pair struct{ key, value string }

func (p pair) Compare(key string) int { return cmp.Compare(p.key, key) }

func TestListIsLikeASortedMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l List[pair]
	want := map[string]string{}
	for step := range 40_000 {
		key := fmt.Sprintf("%x", random.Uint32N(1<<12))
		if step%4000 < 2500 {
			want[key] = fmt.Sprint(step)
			l.Set(key, pair{key, want[key]})
		} else {
			delete(want, key)
			l.Remove(key)
		}
		require.Equal(t, len(want), l.Len())
		got, found := l.Get(key)
		value, there := want[key]
		require.Equal(t, there, found)
		require.Equal(t, value, got.value)
		if step%500 > 0 {
			continue
		}
		for _, from := range []string{"", "a", "7f", "fff0", "x"} {
			var keys []string
			for e := range l.From(from) {
				keys = append(keys, e.key)
				require.Equal(t, want[e.key], e.value)
			}
			all := slices.Sorted(maps.Keys(want))
			require.Equal(t, slices.DeleteFunc(all, func(k string) bool { return k < from }), append([]string{}, keys...))
		}
		for _, b := range l.blocks {
			require.NotEmpty(t, b)
			require.LessOrEqual(t, len(b), blockLength)
		}
	}
}

func TestBlocksOfKeysThatRiseOrFallAreFew(t *testing.T) {
	const n = 100 * blockLength
	for name, key := range map[string]func(i int) int{
		"rising": func(i int) int { return i }, "falling": func(i int) int { return n - i }, "any": func(i int) int { return i * 7919 % n },
	} {
		var l List[pair]
		for i := range n {
			key := fmt.Sprintf("%08d", key(i))
			l.Set(key, pair{key: key})
		}
		require.LessOrEqual(t, len(l.blocks), 220, name)
		for i := range n {
			l.Remove(fmt.Sprintf("%08d", key(i)))
		}
		require.Empty(t, l.blocks, name)
	}
}

func TestBlocksOfFewThatAreLeftAreFew(t *testing.T) {
	var l List[pair]
	order := rand.New(rand.NewPCG(5, 6)).Perm(5000)
	for _, i := range order {
		key := fmt.Sprintf("s/%04d", i)
		l.Set(key, pair{key: key})
	}
	for _, i := range order[:4900] {
		l.Remove(fmt.Sprintf("s/%04d", i))
	}
	require.Less(t, len(l.blocks), 40)
	for _, i := range order[4900:] {
		l.Remove(fmt.Sprintf("s/%04d", i))
	}
	require.Empty(t, l.blocks)
	require.Zero(t, l.Len())
}
