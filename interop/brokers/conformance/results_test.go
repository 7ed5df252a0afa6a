package conformance_test

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/conformancetest"
	"github.com/seed65a45251/mqtt/interop/brokers/servers"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
	"github.com/seed65a45251/mqtt/wire"
)

var update = flag.Bool("update", false, "write testdata/results.json and docs/conformance-servers.md")

// resultsFile has what was seen of each broker.
const resultsFile = "testdata/results.json"

// seen is what was seen of one broker.
type seen struct {
	Name    string               `json:"name"`
	Version string               `json:"version,omitempty"` // of the broker; ours is this one
	Results []conformance.Result `json:"results"`
}

func TestBrokersDoWhatTheFileSays(t *testing.T) {
	kinds := slices.DeleteFunc(servers.Kinds(), func(k servers.Kind) bool { return k.Name == "ours" })
	fresh := make([]seen, len(kinds))
	var running sync.WaitGroup
	for i, k := range kinds { // all at the same time: they mostly wait
		running.Go(func() {
			t.Run(k.Name, func(t *testing.T) {
				fresh[i].Name = k.Name
				fresh[i].Version, fresh[i].Results = check(t, k, everything, 0)
				if !*update {
					compare(t, k, fresh[i].Results)
				}
			})
		})
	}
	running.Wait()
	if *update {
		own, err := conformancetest.CheckBroker(t.Context())
		require.NoError(t, err)
		write(t, append([]seen{{Name: "this broker", Results: own}}, fresh...))
	}
}

// tries is how often a result must differ from the file: once among all checks, and then one by one. A broker
// has races of its own. The rare ones say nothing about the statement; the others belong into sometimes.
const tries = 3

// allPackets is the statement that the packets of all checks are judged by, so that all are asked for again.
const allPackets = "packets are well-formed"

// compare fails where results are not those of the file.
func compare(t *testing.T, k servers.Kind, fresh []conformance.Result) {
	was := recorded(t, k)
	differ := func(results []conformance.Result) []conformance.Result {
		return slices.DeleteFunc(results, func(r conformance.Result) bool {
			outcome, known := was[key(r)]
			return known && outcome == r.Outcome
		})
	}
	changed := differ(fresh)
	for range tries - 1 {
		if len(changed) == 0 {
			return
		}
		names, keys := map[string]bool{}, map[string]bool{}
		for _, r := range changed {
			t.Log("differs from the file, and is asked for again:", r)
			names[r.Name], keys[key(r)] = true, true
		}
		chosen, parallel := func(s *conformance.Statement) bool { return names[s.Name] }, 1
		if names[allPackets] {
			chosen, parallel = everything, 0
		}
		_, again := check(t, k, chosen, parallel)
		changed = slices.DeleteFunc(differ(again), func(r conformance.Result) bool { return !keys[key(r)] })
	}
	for _, r := range changed {
		t.Errorf("%s: %s; the file says otherwise (go test . -update, if that is right)", k.Name, r)
	}
}

func everything(*conformance.Statement) bool { return true }

// recorded returns what the file says about a broker.
func recorded(t *testing.T, k servers.Kind) map[string]conformance.Outcome {
	all := read(t)
	i := slices.IndexFunc(all, func(s seen) bool { return s.Name == k.Name })
	require.GreaterOrEqual(t, i, 0, "%s is not in %s", k.Name, resultsFile)
	was := map[string]conformance.Outcome{}
	for _, r := range all[i].Results {
		was[key(r)] = r.Outcome
	}
	return was
}

func key(r conformance.Result) string { return r.Name + " " + r.Version.String() }

func read(t *testing.T) (all []seen) {
	text, err := os.ReadFile(resultsFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

func write(t *testing.T, all []seen) {
	for _, s := range all {
		slices.SortStableFunc(s.Results, func(a, b conformance.Result) int { return rank(a) - rank(b) })
	}
	text, err := json.MarshalIndent(all, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(resultsFile, append(text, '\n'), 0o644))
	require.NoError(t, os.WriteFile(pageFile, page(all), 0o644))
}

// rank orders results by statement and version.
func rank(r conformance.Result) int {
	i := slices.IndexFunc(conformance.ServerStatements(), func(s *conformance.Statement) bool { return s.Name == r.Name })
	return i*10 + int(r.Version)
}

func TestPageShowsTheFile(t *testing.T) {
	all := read(t)
	require.Greater(t, len(all), 5)
	text, err := os.ReadFile(pageFile)
	require.NoError(t, err)
	require.Equal(t, string(page(all)), string(text), "go test . -update")
}

// This broker is checked by internal/conformancetest; the file must say the same.
func TestFileSaysThatThisBrokerPasses(t *testing.T) {
	for _, r := range read(t)[0].Results {
		require.Contains(t, []conformance.Outcome{conformance.Passes, conformance.NotObserved}, r.Outcome, "%s", r)
		require.Contains(t, []wire.Version{wire.V311, wire.V5}, r.Version)
	}
}
