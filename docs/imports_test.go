package docs_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/seed65a45251/mqtt"

// permittedImports says what the packages of this module may import beyond the
// standard library, tests aside. Packages of the module start with a dot; "..."
// stands for everything below. A package without a line of its own falls under
// the longest "..." line; one without any is refused until it has one.
var permittedImports = map[string][]string{
	"./wire":      {},
	"./reconnect": {},
	"./match":     {"./wire"},
	"./session":   {"./wire", "./match"},
	"./store":     {"./internal/sorted"},
	"./store/...": {"./store", "go.etcd.io/bbolt", "go.etcd.io/bbolt/errors"},
	".": {
		"./wire", "./match", "./session", "./reconnect", "./store", "./internal/...",
		"golang.org/x/sync/errgroup",
	},
	"./broker": {
		"./wire", "./match", "./session", "./reconnect", "./store", "./internal/...", "./broker/internal/...",
		"golang.org/x/sync/errgroup", "github.com/coder/websocket", "golang.org/x/crypto/bcrypt",
	},
	"./broker/internal/census":  {"./internal/list"},
	"./broker/internal/journal": {"./store"},
	"./broker/internal/logins":  {"./broker/internal/census"},
	"./broker/internal/records": {"./store", "./wire"},
	"./broker/internal/wsconn":  {"./internal/line", "./internal/pipe", "./internal/pong", "github.com/coder/websocket"},
	"./internal/...":            {"./wire", "./match", "./internal/...", "golang.org/x/sync/errgroup", "github.com/coder/websocket"},
	"./internal/daemon":         {},
	"./internal/durable":        {"./store", "./session", "./wire"},
	"./internal/transport":      {"./internal/line", "./internal/pipe", "./internal/pong", "github.com/coder/websocket", "golang.org/x/net/proxy"},
	"./internal/simulation":     {"./internal/durable", "./reconnect", "./session", "./store", "./wire"},
	"./internal/fuzztest":       {"./wire"},
	"./internal/brief":          {},
	"./internal/documented":     {"github.com/stretchr/testify/require"},
	"./internal/authority":      {"github.com/stretchr/testify/require"},
	"./internal/mosquitto":      {"./internal/...", "github.com/stretchr/testify/require"},
	"./internal/conversation":   {".", "./mqtttest", "./wire", "./store", "./internal/pipe", "github.com/coder/websocket", "github.com/stretchr/testify/require"},
	"./internal/conformancetest": {
		".", "./broker", "./mqtttest/conformance", "./reconnect", "./wire", "golang.org/x/sync/errgroup",
	},
	"./mqtttest/conformance": {"./wire", "./match", "github.com/coder/websocket"},
	"./mqtttest":             {"./broker", "./wire", "./match", "./internal/pipe"},
	"./cmd/...":              {".", "./broker", "./wire", "./match", "./reconnect", "./store", "./store/bolt", "./internal/..."},
	"./examples/...":         {"golang.org/x/sync/errgroup", ".", "./broker", "./examples/internal/demo", "./wire", "./match", "./reconnect", "./session", "./store", "./store/bolt", "./mqtttest"},
}

// unreachable says what a package may not even import by way of others.
var unreachable = map[string][]string{
	".":          {"./broker", "./mqtttest", "./store/bolt", "go.etcd.io/bbolt", "testing"},
	"./broker":   {".", "./mqtttest", "./store/bolt", "go.etcd.io/bbolt", "testing"},
	"./mqtttest": {"."}, // any client can be tested with it
}

// testsOnly are the packages that nothing but tests may reach.
var testsOnly = []string{"./internal/authority", "./internal/documented", "./internal/conversation", "./internal/fuzztest", "./internal/mosquitto", "./internal/simulation", "./internal/conformancetest"}

func TestImportsStayWithinThePermitted(t *testing.T) {
	t.Chdir("..")
	packages := packagesOfModule(t)
	// What is certainly there, so that a walk that finds nothing fails.
	require.Subset(t, slices.Collect(maps.Keys(packages)), []string{"./match", "./reconnect"})
	require.Empty(t, refusedImports(packages))
}

func TestRefusedImports(t *testing.T) {
	for _, test := range []struct {
		name     string
		packages map[string][]string
		refused  []string
	}{
		{"standard library", map[string][]string{"./wire": {"io", "encoding/binary"}}, nil},
		{"own, in the right direction", map[string][]string{"./session": {"./wire", "./match"}}, nil},
		{"everything below", map[string][]string{".": {"./internal/pipe"}, "./internal/pipe": {"./internal/x/y"}}, nil},
		{"own, in the wrong direction", map[string][]string{"./wire": {"./match"}}, []string{"./wire imports ./match"}},
		{"external", map[string][]string{"./reconnect": {"example.com/x"}}, []string{"./reconnect imports example.com/x"}},
		{"a package nobody knows", map[string][]string{"./util": {"io"}}, []string{"./util has no line"}},
		{"a line of its own goes first", map[string][]string{"./internal/mosquitto": {"./wire"}},
			[]string{"./internal/mosquitto imports ./wire"}},
		{"each other", map[string][]string{".": {"./broker"}, "./broker": {"."}},
			[]string{". imports ./broker", ". reaches ./broker", "./broker imports .", "./broker reaches ."}},
		{"by way of others", map[string][]string{".": {"./internal/a"}, "./internal/a": {"./internal/b"}, "./internal/b": {"testing"}},
			[]string{". reaches testing"}},
		{"what is for tests", map[string][]string{"./internal/a": {"./internal/b"}, "./internal/b": {"./internal/conversation"}},
			[]string{"./internal/a reaches ./internal/conversation", "./internal/b reaches ./internal/conversation"}},
	} {
		require.Equal(t, test.refused, refusedImports(test.packages), test.name)
	}
}

// refusedImports returns a sentence for each import in packages that breaks the
// rules.
func refusedImports(packages map[string][]string) []string {
	var refused []string
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		permitted, known := permittedFor(pkg)
		if !known {
			refused = append(refused, pkg+" has no line")
			continue
		}
		for _, imported := range packages[pkg] {
			if !isStandard(imported) && !slices.ContainsFunc(permitted, func(p string) bool { return covers(p, imported) }) {
				refused = append(refused, pkg+" imports "+imported)
			}
		}
		reached := map[string]bool{}
		reach(packages, pkg, reached)
		for _, target := range append(slices.Clone(testsOnly), unreachable[pkg]...) {
			if reached[target] {
				refused = append(refused, pkg+" reaches "+target)
			}
		}
	}
	return refused
}

func permittedFor(pkg string) (permitted []string, known bool) {
	if permitted, known = permittedImports[pkg]; known {
		return permitted, true
	}
	longest := ""
	for pattern := range permittedImports {
		if covers(pattern, pkg) && len(pattern) > len(longest) {
			longest = pattern
		}
	}
	permitted, known = permittedImports[longest]
	return permitted, known
}

func covers(pattern, pkg string) bool {
	if root, below := strings.CutSuffix(pattern, "/..."); below {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	}
	return pattern == pkg
}

// isStandard uses that only the standard library has no dot in the first element
// of its import paths.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// reach adds all that pkg imports, directly or by way of others, to reached.
func reach(packages map[string][]string, pkg string, reached map[string]bool) {
	for _, imported := range packages[pkg] {
		if !reached[imported] {
			reached[imported] = true
			reach(packages, imported, reached)
		}
	}
}

// packagesOfModule returns the imports of each package below the working
// directory that has code other than tests, whatever its build constraints.
func packagesOfModule(t *testing.T) map[string][]string {
	packages := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipDir(path, entry.Name())
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := "."
		if dir := filepath.ToSlash(filepath.Dir(path)); dir != "." {
			pkg = "./" + dir
		}
		imports := packages[pkg]
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if below, own := strings.CutPrefix(imported, module); own && (below == "" || below[0] == '/') {
				imported = "." + below
			}
			if !slices.Contains(imports, imported) {
				imports = append(imports, imported)
			}
		}
		packages[pkg] = imports
		return nil
	})
	require.NoError(t, err)
	return packages
}

// skipDir leaves out what the go command leaves out, and nested modules.
func skipDir(path, name string) error {
	if path == "." {
		return nil
	}
	if name == "testdata" || name[0] == '.' || name[0] == '_' {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}
