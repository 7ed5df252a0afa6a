package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/conformancetest"
	"github.com/seed65a45251/mqtt/interop/drivers"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

var (
	update = flag.Bool("update", false, "write what is found to testdata/results and docs/conformance.md")
	only   = flag.String("clients", "", "names of the clients to run, separated by commas; all if empty")
	some   = flag.String("statements", "", "with -update, names of the statements to check anew, separated by commas; all if empty")
	runs   = flag.Int("runs", 1, "with -update, how often to run each client: results that vary are marked")
)

// subject is a client under test.
type subject struct {
	name string
	open func(context.Context) (conformance.Client, error)
}

const ours = "this client"

// subjects are all clients, ours first.
var subjects = []subject{{ours, conformancetest.Open}}

func TestMain(m *testing.M) {
	code, err := withDrivers(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withDrivers(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	all, err := drivers.Build(context.Background(), "..", dir)
	if err != nil {
		return 0, err
	}
	for _, d := range all {
		subjects = append(subjects, subject{d.Name, d.Open})
	}
	return m.Run(), nil
}

// record is what the suite found out about one client.
type record struct {
	Library string  `json:"library"` // with its version
	Found   []found `json:"found"`
}

// found is one result. Also are the other outcomes that were seen, if it varies.
type found struct {
	conformance.Result
	Also []conformance.Outcome `json:"also,omitempty"`
}

// key names a check in results.
func key(r conformance.Result) string { return r.Name + " " + r.Version.String() }

// TestClients runs every client and compares what is found with the record of it.
func TestClients(t *testing.T) {
	for _, s := range subjects {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if *update {
				writeRecord(t, s, recordOf(t, s))
				return
			}
			compare(t, s, readRecord(t, s))
		})
	}
}

// run carries out checks of one client.
func run(t *testing.T, s subject, r conformance.ClientRun) []conformance.Result {
	r.Open = s.open
	results, err := r.Run(t.Context())
	require.NoError(t, err)
	if s.name == ours {
		results = conformancetest.Explained(results)
	}
	for i := range results {
		results[i].Detail = ports.ReplaceAllString(results[i].Detail, "127.0.0.1:port")
	}
	return results
}

// patience is what the suite has where it takes its time. The drivers have more.
const patience = 15 * time.Second

// ports are what differs from run to run in the texts of errors.
var ports = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// compare checks a client against its record. Many records say that nothing comes: at
// first the suite waits a short time for it. A result that differs is asked for again,
// alone and with patience.
func compare(t *testing.T, s subject, want record) {
	expected := make(map[string]found, len(want.Found))
	for _, f := range want.Found {
		expected[key(f.Result)] = f
	}
	results := run(t, s, conformance.ClientRun{Patience: 3 * time.Second})
	for try := range 3 {
		again := map[string]bool{}
		missing := 0
		for _, r := range results {
			f, known := expected[key(r)]
			switch {
			case !known:
				missing++
				t.Logf("%s is not in the record", key(r))
			case !f.allows(r.Outcome):
				again[r.Name] = true
				if try == 2 {
					t.Errorf("%s; the record has %v %v (run go test -update)", r, f.Outcome, f.Also)
				}
			}
		}
		// A few new statements may wait for the next time that the records are written.
		require.Less(t, 20*missing, len(expected), "run go test -update")
		if len(again) == 0 {
			break
		}
		if try < 2 {
			results = run(t, s, conformance.ClientRun{
				Only: func(s *conformance.Statement) bool { return again[s.Name] }, Parallel: 1, Patience: patience,
			})
		}
	}
}

func (f found) allows(o conformance.Outcome) bool {
	return f.Outcome == o || slices.Contains(f.Also, o)
}

// recordOf runs a client, several times if the flag says so.
func recordOf(t *testing.T, s subject) record {
	c, err := s.open(t.Context())
	require.NoError(t, err)
	rec := record{Library: c.Hello().Library, Found: []found{}}
	require.NoError(t, c.Close())
	anew := conformance.ClientRun{Patience: patience}
	if *some != "" {
		anew.Only = func(s *conformance.Statement) bool { return slices.Contains(strings.Split(*some, ","), s.Name) }
		for _, f := range readRecord(t, s).Found {
			if !slices.Contains(strings.Split(*some, ","), f.Name) {
				rec.Found = append(rec.Found, f)
			}
		}
	}
	at := map[string]int{}
	for range *runs {
		for _, r := range run(t, s, anew) {
			i, known := at[key(r)]
			if !known {
				at[key(r)] = len(rec.Found)
				rec.Found = append(rec.Found, found{Result: r})
				continue
			}
			rec.Found[i].add(r)
		}
	}
	return rec
}

// add notes another result of the same check. The worst one stands, with what was seen.
func (f *found) add(r conformance.Result) {
	if f.allows(r.Outcome) {
		return
	}
	if r.Outcome > f.Outcome {
		f.Result, r = r, f.Result
	}
	f.Also = append(f.Also, r.Outcome)
	slices.Sort(f.Also)
}

func recordPath(s subject) string {
	return filepath.Join("testdata", "results", strings.ReplaceAll(s.name, " ", "-")+".json")
}

func readRecord(t *testing.T, s subject) (rec record) {
	text, err := os.ReadFile(recordPath(s))
	require.NoError(t, err, "run go test -update")
	require.NoError(t, json.Unmarshal(text, &rec))
	return rec
}

func writeRecord(t *testing.T, s subject, rec record) {
	slices.SortStableFunc(rec.Found, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	text, err := json.MarshalIndent(rec, "", "\t")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(recordPath(s)), 0o755))
	require.NoError(t, os.WriteFile(recordPath(s), append(text, '\n'), 0o644))
}
