package docs_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// withExamples are the packages in which an example shows every exported function and
// method. Packages wire and session have one example each, because their calls make
// sense only together: their readers build clients or servers of their own.
var withExamples = []string{
	".", "broker", "match", "mqtttest", "reconnect", "store", "store/bolt", "store/storetest", "contrib/scram",
	"contrib/otelmqtt", "contrib/prommqtt",
}

// obvious are methods that need no example wherever they are: the library, the runtime
// or Prometheus calls them.
var obvious = []string{"Collect", "Describe", "Error", "GoString", "LogValue", "MarshalText", "String", "Unwrap"}

// notShown are further ones, with the reason.
var notShown = map[string]string{
	"broker.ObserverFunc.Observe":        "the broker calls it",
	"broker.MemoryListener.Accept":       "Broker.Serve calls it",
	"broker.MemoryListener.Addr":         "Broker.Serve calls it",
	"contrib/scram.Authenticator.Method": "the client calls it",
	"contrib/scram.Authenticator.Start":  "the client calls it",
}

// Each exported function and method has an example of its own, or one of its package
// that uses it.
func TestExamplesShowEverything(t *testing.T) {
	t.Chdir("..")
	excused := map[string]bool{}
	for _, dir := range withExamples {
		operations, used := operationsAndExamples(t, dir)
		for name, own := range operations {
			short := name[strings.LastIndex(name, ".")+1:]
			if own || used[short] || slices.Contains(obvious, short) {
				continue
			}
			full := strings.TrimPrefix(dir+"."+name, "..")
			require.True(t, notShown[full] != "", "no example shows %s", full)
			excused[full] = true
		}
	}
	for name := range notShown {
		require.True(t, excused[name], "%s has an example, or is not there", name)
	}
}

// operationsAndExamples returns the exported functions and methods of a package, with
// whether they have an example of their own, and the names that its examples use.
func operationsAndExamples(t *testing.T, dir string) (operations, used map[string]bool) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	pkg, err := doc.NewFromFiles(fset, files, dir)
	require.NoError(t, err)
	operations, used = map[string]bool{}, map[string]bool{}
	show := func(examples []*doc.Example) bool {
		for _, e := range examples {
			noteUses(e.Code, used)
			if e.Play != nil {
				noteUses(e.Play, used)
			}
		}
		return len(examples) > 0
	}
	show(pkg.Examples)
	for _, f := range pkg.Funcs {
		operations[f.Name] = show(f.Examples)
	}
	for _, typ := range pkg.Types {
		show(typ.Examples)
		for _, f := range typ.Funcs {
			operations[f.Name] = show(f.Examples)
		}
		for _, m := range typ.Methods {
			operations[typ.Name+"."+m.Name] = show(m.Examples)
		}
	}
	return operations, used
}

// noteUses adds the names that code selects: what it calls, and methods as values.
func noteUses(code ast.Node, used map[string]bool) {
	ast.Inspect(code, func(n ast.Node) bool {
		if selected, ok := n.(*ast.SelectorExpr); ok {
			used[selected.Sel.Name] = true
		}
		return true
	})
}
