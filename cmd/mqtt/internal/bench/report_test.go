package bench

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample is a result with something in every part.
func sample() *Result {
	curve := []Point{{0, 40}, {0.5, 100}, {0.9, 250}, {0.99, 900}, {1, 5000}}
	times := Times{Count: 1000, Mean: 120, Min: 40, P50: 100, P90: 250, P99: 900, P999: 4000, Max: 5000, Curve: curve}
	return &Result{
		Format: Format, Server: Server{URL: `mqtt://<host>`, Version: "5.0"},
		Settings: Setup{Publishers: 1, Subscribers: 2, Topics: 1, QoS: 1, Size: 64, Rate: 1000, Duration: 1, Spread: SpreadAll},
		Rates:    Rates{Seconds: 1, Offered: 1000, Published: 990, Received: 1980, ReceivedData: 126720},
		Messages: Messages{Published: 1000, Acknowledged: 1000, Expected: 2000, Received: 1990, Lost: 10},
		Latency:  Latencies{EndToEnd: times, Acknowledged: times, Connect: times},
		Load:     Generator{Behind: times, Own: Times{Count: 1000, P99: 2500, Max: 9000}, Processors: 1.9},
		Environment: Environment{
			Cores: 2,
		},
		Errors:    map[string]uint64{"publish: <refused>": 3},
		Intervals: []Interval{{At: 0.5, Seconds: 0.5, Sent: 500, Acknowledged: 499, Received: 990, P50: 99, P99: 900, Max: 5000}, {At: 1, Seconds: 0.5}},
	}
}

func TestReportNeedsNothingElse(t *testing.T) {
	r := sample()
	r.judge()
	var b strings.Builder
	require.NoError(t, r.WriteReport(&b))
	html := b.String()
	require.Equal(t, 3, strings.Count(html, "<svg"))
	require.NotRegexp(t, regexp.MustCompile(`(?i)(src|href|url\()\s*=?\s*["']?\w`), html, "nothing is loaded")
	require.NotContains(t, html, "<host>")
	require.NotContains(t, html, "<refused>")
	require.NotContains(t, html, "NaN")
	for _, text := range []string{"mqtt://&lt;host&gt;", "99.9 %", "3 × publish: &lt;refused&gt;", "prefers-color-scheme: dark"} {
		require.Contains(t, html, text)
	}
}

func TestNotesSayWhatLimitsTheFigures(t *testing.T) {
	notes := func(change func(*Result)) string {
		r := sample()
		r.Load, r.Messages, r.Rates = Generator{}, Messages{}, Rates{Offered: 1000, Published: 1000}
		change(r)
		r.judge()
		return strings.Join(r.Notes, "\n")
	}
	require.Empty(t, notes(func(*Result) {}))
	require.Contains(t, notes(func(r *Result) { r.Load.Own.P99 = 1500 }), "generator itself was late: 1.50 ms")
	require.Contains(t, notes(func(r *Result) { r.Load.Processors = 1.9 }), "so the generator may be the limit")
	require.Contains(t, notes(func(r *Result) { r.Load.Processors, r.Server.Embedded = 1.9, true }), "embedded broker may be the limit")
	require.Contains(t, notes(func(r *Result) { r.Load.Machine = 0.99 }), "busy for 99 %")
	require.Contains(t, notes(func(r *Result) { r.Load.Blocked = 0.8 }), "took 80 %")
	require.Contains(t, notes(func(r *Result) { r.Rates.Published = 900 }), "was not reached: 900")
	require.Contains(t, notes(func(r *Result) { r.Messages.Unsent = 7 }), "7 messages could not be sent")
	require.Contains(t, notes(func(r *Result) { r.Interrupted = true }), "interrupted")
}

func TestTableIsReadable(t *testing.T) {
	r := sample()
	var b strings.Builder
	require.NoError(t, r.WriteTable(&b))
	require.Contains(t, b.String(), "publisher to subscriber  100 µs  250 µs   900 µs   4 ms  5 ms   1000")
	require.Contains(t, b.String(), "received      1990 of 2000, 1980/s, 127 kB/s")
}

// Every field of the file stands in the page that describes it.
func TestPageDescribesEveryField(t *testing.T) {
	page, err := os.ReadFile("../../docs/bench.md")
	require.NoError(t, err)
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() != reflect.TypeFor[Result]().PkgPath() {
			return
		}
		for field := range typ.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			require.Contains(t, string(page), "`"+name+"`", "%s.%s", typ.Name(), field.Name)
			walk(field.Type)
		}
	}
	walk(reflect.TypeFor[Result]())
}

func TestFileComesBack(t *testing.T) {
	want := sample()
	var b strings.Builder
	require.NoError(t, writeJSON(&b, want))
	got := new(Result)
	require.NoError(t, json.Unmarshal([]byte(b.String()), got))
	require.Equal(t, want, got)
}

func TestDurationsAndNumbersHaveThreeDigits(t *testing.T) {
	for us, want := range map[float64]string{0: "0", 0.5: "0.50 µs", 12.34: "12.3 µs", 999: "999 µs", 1500: "1.50 ms", 20e3: "20 ms", 3.21e6: "3.21 s"} {
		require.Equal(t, want, duration(us))
	}
	for v, want := range map[float64]string{0: "0", 950: "950", 9999: "9999", 12_345: "12.3k", 1.5e6: "1.50M", 2e9: "2G"} {
		require.Equal(t, want, short(v))
	}
}

func TestURLIsShownWithoutSecrets(t *testing.T) {
	require.Equal(t, "wss://host:8084/mqtt", withoutSecrets("wss://alice:secret@host:8084/mqtt?token=secret"))
	require.Empty(t, withoutSecrets("mqtt://secret:%zz@host"))
}
