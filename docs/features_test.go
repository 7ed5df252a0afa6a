package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documented are the packages that features.md names, by the name they have
// there. Others are of the standard library.
var documented = map[string]string{
	"mqtt": "..", "wire": "../wire", "match": "../match", "session": "../session", "reconnect": "../reconnect",
	"broker": "../broker", "mqtttest": "../mqtttest", "scram": "../contrib/scram",
}

var (
	codeSpan  = regexp.MustCompile("`[^`]*`")
	qualified = regexp.MustCompile(`\b([a-z][a-z0-9]*)\.([A-Z]\w*(?:\.[A-Z]\w*)?)`)
)

// TestFeatures checks that features.md promises only what there is.
func TestFeatures(t *testing.T) {
	text, err := os.ReadFile("features.md")
	require.NoError(t, err)
	names := map[string]map[string]bool{}
	for pkg, dir := range documented {
		names[pkg] = exportedNames(t, dir)
	}
	standard := []string{"context", "errors", "fmt", "json", "net", "slog", "time", "tls"}
	rows, found := 0, 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		require.Len(t, cells, 2, line)
		require.NotEmpty(t, strings.TrimSpace(cells[1]), line)
		rows++
		for _, span := range codeSpan.FindAllString(cells[1], -1) {
			for _, m := range qualified.FindAllStringSubmatch(span, -1) {
				if names[m[1]] == nil {
					require.Contains(t, standard, m[1], line)
					continue
				}
				found++
				require.True(t, names[m[1]][m[2]], "%s is not there: %s", span, line)
			}
		}
	}
	require.Greater(t, rows, 200)
	require.Greater(t, found, 250)
}

func TestExportedNames(t *testing.T) {
	names := exportedNames(t, "..")
	for _, name := range []string{"Connect", "Client.Publish", "Config.ClientID", "V5", "ErrClosed", "Authenticator.Method", "ServerError"} {
		require.True(t, names[name], name)
	}
	for _, name := range []string{"client", "Client.mu", "Config.Nonsense", "TestFeatures"} {
		require.False(t, names[name], name)
	}
}

// exportedNames returns what the package in dir exports: names, and fields and
// methods as Type.Name.
func exportedNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files, dir)
	names := map[string]bool{}
	add := func(parts ...string) {
		if !slices.ContainsFunc(parts, func(s string) bool { return !token.IsExported(s) }) {
			names[strings.Join(parts, ".")] = true
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(d.Name.Name)
				} else {
					add(typeName(d.Recv.List[0].Type), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					addSpec(spec, add)
				}
			}
		}
	}
	return names
}

func addSpec(spec ast.Spec, add func(...string)) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			add(name.Name)
		}
	case *ast.TypeSpec:
		add(s.Name.Name)
		var members *ast.FieldList
		switch body := s.Type.(type) {
		case *ast.StructType:
			members = body.Fields
		case *ast.InterfaceType:
			members = body.Methods
		default:
			return
		}
		for _, member := range members.List {
			for _, name := range member.Names {
				add(s.Name.Name, name.Name)
			}
		}
	}
}

// typeName returns the name of a receiver's type, without pointer and type
// parameters.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
