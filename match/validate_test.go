package match_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/match"
)

const (
	noShare     = "has no share name"
	noFilter    = "has nothing after the share name"
	wildShare   = "has a wildcard in the share name"
	hashInside  = "has # before the last level"
	hashBeside  = "has # beside other characters in a level"
	plusBeside  = "has + beside other characters in a level"
	nullChar    = "contains U+0000"
	notUTF8     = "is not valid UTF-8"
	tooLong     = "is longer than 65535 bytes"
	hasWildcard = "has a wildcard"
)

// requireProblem checks that err says problem of input, or is nil without one.
func requireProblem(t *testing.T, problem, input string, err error) {
	t.Helper()
	if problem == "" {
		require.NoError(t, err, "%q", input)
		return
	}
	e, ok := errors.AsType[*match.Error](err)
	require.True(t, ok, "%q: %v", input, err)
	require.Equal(t, problem, e.Problem, "%q", input)
	require.Equal(t, input, e.Input)
}

func TestValidateTopic(t *testing.T) {
	for _, test := range []struct{ topic, problem string }{
		{"a", ""}, {"a b", ""}, {"/", ""}, {"a/", ""}, {"//", ""}, {"$SYS/x", ""}, {"$share/g/a", ""},
		{"caf\u00e9/\U0001F321", ""}, {"\uFEFFa", ""}, {"a\x01\x7f", ""}, {"\uFFFD", ""},
		{strings.Repeat("a", 65535), ""},
		{"", "is empty"},
		{strings.Repeat("a", 65536), tooLong},
		{strings.Repeat("\u00e9", 32768), tooLong},
		{"a\x00", nullChar}, {"\u00e9\x00", nullChar},
		{"a\xff", notUTF8}, {"\xed\xa0\x80", notUTF8}, {"\xc3", notUTF8},
		{"a/+", hasWildcard}, {"#", hasWildcard}, {"a+b", hasWildcard}, {"\u00e9/#", hasWildcard},
	} {
		requireProblem(t, test.problem, test.topic, match.ValidateTopic(test.topic))
	}
}

func TestValidateTopicSeesEveryByte(t *testing.T) {
	for length := 1; length <= 40; length++ {
		for at := range length {
			for c := range 256 {
				topic := []byte(strings.Repeat("a", length))
				topic[at] = byte(c)
				refused := c == 0 || c == '#' || c == '+' || c >= utf8.RuneSelf
				err := match.ValidateTopic(string(topic))
				require.Equal(t, refused, err != nil, "%q", topic)
			}
		}
	}
}

func TestValidateFilter(t *testing.T) {
	for _, test := range []struct {
		filter, problem string // by the rules of 5.0
		plain           string // by the rules of 3.1.1
	}{
		{"#", "", ""}, {"+", "", ""}, {"+/+", "", ""}, {"/+", "", ""}, {"a/#", "", ""}, {"+/#", "", ""},
		{"a/+/b", "", ""}, {"/", "", ""}, {"$SYS/#", "", ""}, {"a/+/#", "", ""}, {"//", "", ""},
		{"a b", "", ""}, {"a//+//#", "", ""}, {"$shared", "", ""}, {"$shareX/g+", plusBeside, plusBeside},
		{"$share/g/#", "", ""}, {"$share/g/a/+", "", ""}, {"$share/g//a", "", ""}, {"$share/g/$SYS/#", "", ""},
		{"$share/g//", "", ""},
		{"a#", hashBeside, hashBeside}, {"#a", hashBeside, hashBeside}, {"##", hashBeside, hashBeside},
		{"a/#b/c", hashBeside, hashBeside}, {"+#", hashBeside, hashBeside},
		{"a/#/b", hashInside, hashInside}, {"#/", hashInside, hashInside}, {"#/#", hashInside, hashInside},
		{"a+", plusBeside, plusBeside}, {"+a", plusBeside, plusBeside}, {"a/+b/c", plusBeside, plusBeside},
		{"++", plusBeside, plusBeside}, {"+/a/++", plusBeside, plusBeside},
		{"$share", noShare, ""}, {"$share/", noShare, ""}, {"$share//a", noShare, ""}, {"$share//", noShare, ""},
		{"$share/g", noFilter, ""}, {"$share/g/", noFilter, ""},
		{"$share/g+/a", wildShare, plusBeside}, {"$share/g#/a", wildShare, hashBeside},
		{"$share/+/a", wildShare, ""}, {"$share/#", wildShare, ""}, {"$share/#/a", wildShare, hashInside},
		{"$share/g/a#", hashBeside, hashBeside},
		{"", "is empty", "is empty"},
		{"a\x00", nullChar, nullChar}, {"a\xff", notUTF8, notUTF8},
		{strings.Repeat("a", 65535), "", ""}, {strings.Repeat("a", 65536), tooLong, tooLong},
		{strings.Repeat("/", 65535), "", ""}, {strings.Repeat("+/", 32767), "", ""},
	} {
		requireProblem(t, test.problem, test.filter, match.ValidateFilter(test.filter))
		requireProblem(t, test.plain, test.filter, match.ValidatePlainFilter(test.filter))
	}
}

func TestErrorText(t *testing.T) {
	require.EqualError(t, match.ValidateTopic("a/+"), `topic name "a/+" has a wildcard`)
	require.EqualError(t, match.ValidateFilter(""), `topic filter "" is empty`)
	require.EqualError(t, match.ValidateFilter("a\x00\n\xff"), `topic filter "a\x00\n\xff" is not valid UTF-8`)
	require.EqualError(t, match.ValidateTopic(strings.Repeat("x", 70000)),
		`topic name "`+strings.Repeat("x", 64)+`"... is longer than 65535 bytes`)
	// A character of two bytes across the cut is left out whole.
	require.EqualError(t, match.ValidateTopic(strings.Repeat("x", 63)+"\u00e9+"),
		`topic name "`+strings.Repeat("x", 63)+`"... has a wildcard`)
	require.EqualError(t, match.ValidateTopic(strings.Repeat("\x80", 100)),
		`topic name "`+strings.Repeat(`\x80`, 60)+`"... is not valid UTF-8`)
}

func TestValidateDoesNotAllocate(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if match.ValidateTopic("sensors/caf\u00e9/temp") != nil || match.ValidateFilter("$share/g/sensors/+/#") != nil {
			panic("refused")
		}
	}))
}

func FuzzValidate(f *testing.F) {
	for _, s := range []string{"a/b", "", "$share/g/a", "$share", "a/#/b", "a+", "\u00e9", "\xff", "\x00", "+/+/#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := s != "" && len(s) <= 65535 && utf8.ValidString(s) && !strings.Contains(s, "\x00")
		require.Equal(t, text && !strings.ContainsAny(s, "+#"), match.ValidateTopic(s) == nil)

		levels := strings.Split(s, "/")
		plain := text && wildcardsWellPlaced(levels)
		require.Equal(t, plain, match.ValidatePlainFilter(s) == nil)

		full := plain
		if levels[0] == "$share" {
			full = text && len(levels) >= 3 && levels[1] != "" && !strings.ContainsAny(levels[1], "+#") &&
				strings.Join(levels[2:], "/") != "" && wildcardsWellPlaced(levels[2:])
		}
		err := match.ValidateFilter(s)
		require.Equal(t, full, err == nil)
		if err != nil {
			require.Less(t, len(err.Error()), 400)
		} else if _, rest, ok := match.SplitShared(s); ok {
			require.NoError(t, match.ValidatePlainFilter(rest))
		}
	})
}

func wildcardsWellPlaced(levels []string) bool {
	for i, level := range levels {
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && i < len(levels)-1 {
			return false
		}
	}
	return true
}

func BenchmarkValidateTopic(b *testing.B) {
	for _, bench := range []struct{ name, topic string }{
		{"ascii-20", "sensors/kitchen/temp"},
		{"ascii-100", strings.Repeat("sensors/kitchen/temp", 5)},
		{"utf8-20", "sensors/k\u00fcche/temp/"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := match.ValidateTopic(bench.topic); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValidateFilter(b *testing.B) {
	for b.Loop() {
		if err := match.ValidateFilter("$share/workers/sensors/+/temp/#"); err != nil {
			b.Fatal(err)
		}
	}
}
