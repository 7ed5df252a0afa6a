//go:build planted

package simulation

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var only = flag.String("plant", "", "a regular expression for the names of the mistakes to plant")

// endless are the mistakes that make the engine turn in a circle.
var endless = map[string]bool{"identifier freed twice": true}

// within is in how many schedules a mistake has to be found.
const within = 60000

// TestPlantedMistakesAreFound makes each mistake in a copy of its file, builds this package's
// tests with it and plays schedules until one fails.
func TestPlantedMistakesAreFound(t *testing.T) {
	names := regexp.MustCompile(*only)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	simulation := []string{"-test.run=^(TestFoundFaults|TestSchedules)$", "-schedules=" + strconv.Itoa(within), "-shrink=false"}
	client := []string{"-test.run=EarlierProcess"}
	var wait sync.WaitGroup
	turns := make(chan bool, 2)
	for i, p := range slices.Concat(plants, plantsOfClient) {
		pkg, args := ".", simulation
		if i >= len(plants) {
			pkg, args = "../clienttest", client
		}
		if !names.MatchString(p.name) {
			continue
		}
		wait.Go(func() {
			turns <- true
			defer func() { <-turns }()
			out, found := play(t, root, filepath.Join(t.TempDir(), strconv.Itoa(i)), p, pkg, args)
			if found {
				t.Logf("found: %s: %s", p.name, out)
			} else {
				t.Errorf("not found: %s\n%s", p.name, out)
			}
		})
	}
	wait.Wait()
}

// play reports whether the tests of a package fail with p, and how.
func play(t *testing.T, root, dir string, p plant, pkg string, args []string) (how string, found bool) {
	fail := func(err error) (string, bool) { return err.Error(), false }
	file := filepath.Join(root, filepath.FromSlash(p.file))
	source, err := os.ReadFile(file)
	if err != nil {
		return fail(err)
	}
	changed, overlay, binary := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "simulation.test")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		return fail(err)
	}
	for _, step := range []error{
		os.MkdirAll(dir, 0o755), os.WriteFile(changed, []byte(strings.Replace(string(source), p.old, p.new, 1)), 0o644), os.WriteFile(overlay, text, 0o644),
	} {
		if step != nil {
			return fail(step)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, pkg).CombinedOutput(); err != nil {
		return string(out), false
	}
	limit := "10m" // a machine that is busy finds mistakes later
	if endless[p.name] {
		limit = "90s"
	}
	play := exec.CommandContext(t.Context(), binary, append(args, "-test.timeout="+limit)...)
	play.Dir = pkg
	play.Env = append(os.Environ(), "SCHEDULES=")
	out, err := play.CombinedOutput()
	os.Remove(binary)
	_, failed := err.(*exec.ExitError)
	fault := regexp.MustCompile(`seed \d+ fails.*|panic:.*`).FindString(string(out))
	if fault == "" {
		fault = regexp.MustCompile(`--- FAIL: Test\w+/?.*`).FindString(string(out))
	}
	if fault == "" || strings.Contains(fault, "timed out") && !endless[p.name] {
		return string(out), false
	}
	return fault, failed
}
