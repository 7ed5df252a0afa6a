package conformance

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/conformancetest"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// place is a test that speaks of a statement, with its package.
type place struct {
	name string
	v311 bool // the number is one of 3.1.1
}

// numbered are the numbers of statements in comments.
var numbered = regexp.MustCompile(`\[(MQTT-[0-9]+\.[0-9]+\.[0-9]+-[0-9]+)\]`)

// clientDirectories hold the code of the client, beside the root.
var clientDirectories = []string{"", "session", "wire", "match"}

// places returns the tests whose comments name each number.
func places(t *testing.T) map[string][]place {
	found := map[string][]place{}
	for _, dir := range clientDirectories {
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			addPlaces(t, found, dir, file)
		}
	}
	return found
}

func addPlaces(t *testing.T, found map[string][]place, dir, file string) {
	set := token.NewFileSet()
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	parsed, err := parser.ParseFile(set, file, source, parser.ParseComments)
	require.NoError(t, err)
	for _, group := range parsed.Comments {
		for _, comment := range group.List {
			for _, match := range numbered.FindAllStringSubmatch(comment.Text, -1) {
				p := place{enclosing(parsed, comment.Pos()), strings.Contains(comment.Text, "3.1.1")}
				if p.name == "" {
					continue
				}
				if p.name = cleanPackage(dir) + p.name; !slices.Contains(found[match[1]], p) {
					found[match[1]] = append(found[match[1]], p)
				}
			}
		}
	}
}

func cleanPackage(dir string) string {
	if dir == "" {
		return "mqtt."
	}
	return dir + "."
}

// enclosing returns the declaration that a position is in or documents.
func enclosing(file *ast.File, at token.Pos) string {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if within(at, d, d.Doc) {
				return receiver(d) + d.Name.Name
			}
		case *ast.GenDecl:
			if within(at, d, d.Doc) {
				return specName(d, at)
			}
		}
	}
	return ""
}

func within(at token.Pos, d ast.Decl, doc *ast.CommentGroup) bool {
	begin := d.Pos()
	if doc != nil {
		begin = doc.Pos()
	}
	// A comment may stand at the end of the last line.
	return begin <= at && at <= d.End()+1
}

// receiver returns the type of a method with a dot, "" for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

// specName returns the name in a declaration of types, constants or variables that is
// nearest to a position.
func specName(d *ast.GenDecl, at token.Pos) (name string) {
	for _, spec := range d.Specs {
		if name != "" && spec.Pos() > at {
			return name
		}
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			name = spec.Name.Name
		case *ast.ValueSpec:
			name = spec.Names[0].Name
		}
	}
	return name
}

// named returns the names of the places of some numbers of one version.
func named(all map[string][]place, numbers []string, v311 bool) (names []string) {
	for _, n := range numbers {
		for _, p := range all[n] {
			if p.v311 == v311 && !slices.Contains(names, p.name) {
				names = append(names, p.name)
			}
		}
	}
	return names
}

// statement is a statement with what this client's code and tests say about it.
type statement struct {
	Name  string   `json:"name"`
	V311  []string `json:"v311,omitempty"`
	V5    []string `json:"v5,omitempty"`
	Text  string   `json:"text"`
	Code  string   `json:"code,omitempty"` // file and function
	Tests []string `json:"tests,omitempty"`
}

var statementsPath = filepath.Join("testdata", "statements.json")

// currentStatements returns the statements of the suite with what is in the code now.
func currentStatements(t *testing.T) (all []statement) {
	found := places(t)
	code := map[string]string{}
	for _, p := range conformancetest.ClientPlaces {
		for _, name := range p.Statements() {
			code[name] = p.File + " " + p.Func
		}
	}
	for _, s := range conformance.ClientStatements() {
		all = append(all, statement{
			Name: s.Name, V311: s.V311, V5: s.V5, Text: s.Text, Code: code[s.Name],
			Tests: append(named(found, s.V5, false), named(found, s.V311, true)...),
		})
	}
	return all
}

func recordedStatements(t *testing.T) (all []statement) {
	text, err := os.ReadFile(statementsPath)
	require.NoError(t, err, "run go test -update")
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// declared returns the names of all declarations in the client's tests, as places have
// them.
func declared(t *testing.T) map[string]bool {
	all := map[string]bool{}
	for _, dir := range clientDirectories {
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
		require.NoError(t, err)
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, d := range parsed.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					all[cleanPackage(dir)+receiver(d)+d.Name.Name] = true
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						all[cleanPackage(dir)+specName(&ast.GenDecl{Specs: []ast.Spec{spec}}, 0)] = true
					}
				}
			}
		}
	}
	return all
}

// The tests that docs/conformance.md names are there. That the code is there is a test of
// internal/conformancetest.
func TestNamedTestsExist(t *testing.T) {
	there := declared(t)
	count := 0
	for _, s := range recordedStatements(t) {
		for _, name := range s.Tests {
			require.True(t, there[name], "%s: %s is not there (run go test -run Report -update)", s.Name, name)
			count++
		}
	}
	require.Greater(t, count, 10)
}
