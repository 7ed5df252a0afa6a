package model

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	modelled  = regexp.MustCompile(`(?m)^ \* models ([\w/]+\.go): (.*)$`)
	mistakes  = regexp.MustCompile(`(?s)\* Mistakes: (.*?)\.\n`)
	variants  = regexp.MustCompile(`(?s)\* Variants: (.*?)\.\n`)
	condition = regexp.MustCompile(`(?m)^#ifn?def (\w+)$`)
	name      = regexp.MustCompile(`\w+`)
)

func TestModelsNameFunctionsThatExist(t *testing.T) {
	for _, m := range models(t) {
		text := read(t, m)
		parts := modelled.FindAllStringSubmatch(text, -1)
		require.NotEmpty(t, parts, m)
		for _, part := range parts {
			code := read(t, filepath.Join("..", "..", filepath.FromSlash(part[1])))
			for _, f := range name.FindAllString(part[2], -1) {
				require.Regexp(t, `(?m)^func (\(\w+ [^)]+\) )?`+f+`[(\[]`, code, "%s: %s of %s", m, f, part[1])
			}
		}
	}
}

// A macro that no configuration sets would hide a part of the model.
func TestHeadsNameEveryMacro(t *testing.T) {
	for _, m := range models(t) {
		text := read(t, m)
		used := map[string]bool{}
		for _, c := range condition.FindAllStringSubmatch(text, -1) {
			used[c[1]] = true
		}
		named := map[string]bool{}
		for _, n := range slices.Concat(names(text, mistakes), names(text, variants)) {
			named[n] = true
		}
		require.Equal(t, named, used, m)
	}
}

// Each model passes, alone and in each of its variants, and fails with each of its
// mistakes. A variant is named before a mistake that needs it: VARIANT+MISTAKE.
func TestModels(t *testing.T) {
	requireSpin(t)
	for _, m := range models(t) {
		text := read(t, m)
		for _, variant := range slices.Concat([]string{""}, names(text, variants)) {
			t.Run(strings.TrimSuffix(m+" "+variant, " "), func(t *testing.T) {
				t.Parallel()
				require.Empty(t, check(t, m, variant), "see doc.go for the steps")
			})
		}
		for _, mistake := range configurations(text, mistakes) {
			t.Run(m+" with "+mistake, func(t *testing.T) {
				t.Parallel()
				require.NotEmpty(t, check(t, m, strings.Split(mistake, "+")...), "the model accepts it")
			})
		}
	}
}

// check visits all states of a model and returns what is wrong, or "".
func check(t *testing.T, model string, macros ...string) string {
	dir := t.TempDir()
	path, err := filepath.Abs(model)
	require.NoError(t, err)
	var flags []string
	for _, m := range macros {
		if m != "" {
			flags = append(flags, "-D"+m)
		}
	}
	run(t, dir, "spin", slices.Concat([]string{"-a"}, flags, []string{path})...)
	// The compiler takes longer than most searches do.
	run(t, dir, "gcc", "-O0", "-w", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=4000", "-o", "pan", "pan.c")
	out := run(t, dir, filepath.Join(dir, "pan"), "-m100000", "-w22", "-n")
	require.NotContains(t, out, "max search depth too small")
	if strings.Contains(out, "errors: 0\n") {
		require.NotContains(t, out, "Search not completed") // as it is when memory runs out
		return ""
	}
	require.Contains(t, out, "errors: 1\n")
	found := regexp.MustCompile(`pan:1: (.*) \(at depth`).FindStringSubmatch(out)
	require.NotNil(t, found, out)
	// Anything else is a mistake of the model itself.
	require.Regexp(t, `^(assertion violated|invalid end state)`, found[1])
	require.NotContains(t, found[1], "q_full", out)
	return found[1]
}

func run(t *testing.T, dir, program string, args ...string) string {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v\n%s", program, args, out)
	return string(out)
}

// requireSpin fails or skips the test if Spin or gcc is not installed.
func requireSpin(t *testing.T) {
	for _, program := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(program); err != nil {
			missing := fmt.Sprintf("the models need %s: %v", program, err)
			if os.Getenv("MQTT_REQUIRE_SERVERS") == "1" {
				t.Fatal(missing)
			}
			t.Skip(missing)
		}
	}
}

func models(t *testing.T) []string {
	found, err := filepath.Glob("*.pml")
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// names returns the macros of a list in the head of a model.
func names(text string, list *regexp.Regexp) []string {
	found := slices.Compact(slices.Sorted(slices.Values(name.FindAllString(strings.Join(configurations(text, list), " "), -1))))
	return found
}

// configurations returns the entries of a list in the head of a model.
func configurations(text string, list *regexp.Regexp) []string {
	m := list.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	return regexp.MustCompile(`[\w+]+`).FindAllString(m[1], -1)
}
