package sub

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPathsOfTopics(t *testing.T) {
	for topic, want := range map[string]string{
		"a":        "a.log",
		"a/b":      "a/b.log",
		"a.log/b":  "a%2Elog/b.log", // no directory has the name of a file
		"/a":       "%/a.log",
		"a/":       "a/%.log",
		"../x":     "%2E%2E/x.log",
		".":        "%2E.log",
		"a\\b:c":   "a%5Cb%3Ac.log",
		"100%":     "100%25.log",
		"Straße/x": "Straße/x.log",
		"a b\x01":  "a%20b%01.log",
	} {
		require.Equal(t, want, pathOf(topic), topic)
	}
}

func FuzzTopicsHavePathsOfTheirOwn(f *testing.F) {
	f.Add("a", "a/")
	f.Add("a.log/b", "a")
	f.Add(strings.Repeat("x", 300), strings.Repeat("x", 299)+"y")
	f.Add(strings.Repeat("%", 100), strings.Repeat("%25", 100))
	f.Fuzz(func(t *testing.T, one, other string) {
		a, b := pathOf(one), pathOf(other)
		require.Equal(t, one == other, a == b, "%q %q", a, b)
		require.False(t, strings.HasPrefix(b, a+"/"), "%q is a file and a directory of %q", a, b)
		for level := range strings.SplitSeq(a, "/") {
			require.NotEmpty(t, level)
			require.NotEqual(t, "..", level)
			require.LessOrEqual(t, len(level), longest)
		}
	})
}
