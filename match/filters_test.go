package match_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/match"
)

// combinations returns all texts of one to most levels out of these.
func combinations(most int, levels ...string) (all []string) {
	last := []string{""}
	for depth := range most {
		var next []string
		for _, before := range last {
			for _, level := range levels {
				if depth > 0 {
					level = before + "/" + level
				}
				next = append(next, level)
			}
		}
		all = append(all, next...)
		last = next
	}
	return all
}

// What filters have in common is compared with the topics that they match: all those
// of up to four levels, one more than the filters have.
func TestCoversAndOverlapAgreeWithMatch(t *testing.T) {
	var filters []string
	for _, f := range combinations(3, "a", "", "+", "#", "$x") {
		if match.ValidatePlainFilter(f) == nil {
			filters = append(filters, f)
		}
	}
	topics := combinations(4, "a", "b", "", "$x")
	matched := make([][]bool, len(filters))
	for i, f := range filters {
		matched[i] = make([]bool, len(topics))
		for j, topic := range topics {
			matched[i][j] = match.MatchPlain(f, topic)
		}
	}
	for i, f := range filters {
		for j, g := range filters {
			covers, overlap := true, false
			for k := range topics {
				covers = covers && (matched[i][k] || !matched[j][k])
				overlap = overlap || matched[i][k] && matched[j][k]
			}
			if match.Covers(f, g) != covers || match.Overlap(f, g) != overlap {
				t.Errorf("%q, %q: Covers %v, Overlap %v", f, g, !covers, !overlap)
			}
		}
	}
}

func FuzzFilters(f *testing.F) {
	f.Add("a/#", "a/+", "a/b")
	f.Add("+/a/#", "#", "$x/a")
	f.Add("$share/g/a", "+/+", "a/b")
	f.Fuzz(func(t *testing.T, a, b, topic string) {
		covers, overlap := match.Covers(a, b), match.Overlap(a, b)
		if match.ValidatePlainFilter(a) != nil || match.ValidatePlainFilter(b) != nil {
			return
		}
		inA, inB := match.MatchPlain(a, topic), match.MatchPlain(b, topic)
		require.False(t, inA && inB && !overlap)
		require.False(t, inB && !inA && covers)
		require.Equal(t, overlap, match.Overlap(b, a))
		require.True(t, match.Covers(a, a))
		if covers {
			require.True(t, overlap)
		}
		if covers && match.Covers(b, a) {
			require.Equal(t, inA, inB)
		}
	})
}
