package mqtt_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// aliased are the types of other packages that the API has under a name of its own.
var aliased = map[string]reflect.Type{
	"QoS":            reflect.TypeFor[mqtt.QoS](),
	"Version":        reflect.TypeFor[mqtt.Version](),
	"ReasonCode":     reflect.TypeFor[mqtt.ReasonCode](),
	"UserProperty":   reflect.TypeFor[mqtt.UserProperty](),
	"Filter":         reflect.TypeFor[mqtt.Filter](),
	"RetainHandling": reflect.TypeFor[mqtt.RetainHandling](),
	"ServerError":    reflect.TypeFor[mqtt.ServerError](),
	"LimitError":     reflect.TypeFor[mqtt.LimitError](),
	"HTTPError":      reflect.TypeFor[mqtt.HTTPError](),

	"RoundTrips":      reflect.TypeFor[mqtt.RoundTrips](),
	"RoundTripBucket": reflect.TypeFor[mqtt.RoundTripBucket](),
}

// The documentation of an alias shows no field and no method of its type, so the
// comment of the alias lists them, each on a line of its own.
func TestAliasesListFieldsAndMethods(t *testing.T) {
	comments := aliasComments(t)
	require.Len(t, comments, len(aliased), "every alias is in the table")
	listed := regexp.MustCompile(`(?m)^\t(\w+)[ (]`)
	for name, typ := range aliased {
		var want, got []string
		if typ.Kind() == reflect.Struct {
			for f := range typ.Fields() {
				if f.IsExported() {
					want = append(want, f.Name)
				}
			}
		}
		for m := range reflect.PointerTo(typ).Methods() {
			want = append(want, m.Name)
		}
		for _, m := range listed.FindAllStringSubmatch(comments[name], -1) {
			got = append(got, m[1])
		}
		require.ElementsMatch(t, want, got, "fields and methods of %s", name)
	}
}

// aliasComments returns the comments of the exported aliases of the package.
func aliasComments(t *testing.T) map[string]string {
	files, err := os.ReadDir(".") // Glob would take a failure for an empty directory
	require.NoError(t, err)
	comments := map[string]string{}
	for _, f := range files {
		name := f.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.TYPE {
				continue
			}
			for _, spec := range group.Specs {
				if s := spec.(*ast.TypeSpec); s.Assign.IsValid() && s.Name.IsExported() {
					comments[s.Name.Name] = group.Doc.Text() + s.Doc.Text()
				}
			}
		}
	}
	return comments
}
