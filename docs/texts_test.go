package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

var (
	ourText       = regexp.MustCompile("\\*\\*`([^`]+)`\\*\\*")
	reasonText    = regexp.MustCompile("`([A-Za-z0-9 ]+) \\(0x([0-9A-F]{2})\\)`")
	verb          = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)
	otherPrograms = regexp.MustCompile(`^(bench|cmd|docs|examples|interop|tools)/`)
)

// Texts of errors that guides quote, **`in bold`**, are in the code: each piece between
// two … in one string. Reason codes have the name and the number that ReasonCode.Error
// gives them.
func TestQuotedErrorsExist(t *testing.T) {
	t.Chdir("..")
	var code []string
	for _, file := range filesBelow(t, ".", ".go") {
		if !strings.HasSuffix(file, "_test.go") && !otherPrograms.MatchString(file) {
			code = append(code, stringsOf(t, file)...)
		}
	}
	have := strings.Join(code, "\n")
	quoted, reasons := 0, 0
	for _, page := range filesBelow(t, "docs/guides", ".md") {
		text := read(t, page)
		for _, m := range ourText.FindAllStringSubmatch(text, -1) {
			for piece := range strings.SplitSeq(m[1], "…") {
				quoted++
				require.True(t, strings.Contains(have, strings.TrimSpace(piece)), "%s quotes %q", page, m[1])
			}
		}
		for _, m := range reasonText.FindAllStringSubmatch(text, -1) {
			reasons++
			code, err := strconv.ParseUint(m[2], 16, 8)
			require.NoError(t, err)
			require.Equal(t, wire.ReasonCode(code).Error(), m[1]+" (0x"+m[2]+")", page)
		}
	}
	require.Greater(t, quoted, 20)
	require.Greater(t, reasons, 5)
}

// stringsOf returns the literal strings of a file, with … for each verb of fmt.
func stringsOf(t *testing.T, file string) []string {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var texts []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			text, err := strconv.Unquote(l.Value)
			require.NoError(t, err)
			texts = append(texts, verb.ReplaceAllString(text, "…"))
		}
		return true
	})
	return texts
}

// Their errors say why something has ended, or are always nil or obvious.
var withoutRow = []string{"Client.Err", "Subscription.Err", "Client.Close", "Secret.MarshalText", "UnfinishedError.Unwrap", "Refusal.Unwrap"}

// docs/errors.md names methods and errors that exist, and every method of the client
// that returns an error.
func TestErrorsNameWhatExists(t *testing.T) {
	text := read(t, "errors.md")
	names := exportedNames(t, "..")
	for _, m := range regexp.MustCompile("`\\*?((?:Client|Subscription|Delivery|Message|Config)\\.\\w+|[A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
		found := names[m[1]]
		for _, owner := range []string{"Client", "Subscription"} {
			found = found || names[owner+"."+m[1]]
		}
		require.True(t, found, m[1])
	}
	for _, method := range methodsWithError(t, "..") {
		require.True(t, strings.Contains(text, "`"+method+"`") || slices.Contains(withoutRow, method), method)
	}
}

// methodsWithError returns the exported functions and methods of package mqtt whose last
// result is an error.
func methodsWithError(t *testing.T, dir string) []string {
	var methods []string
	for _, file := range filesBelow(t, dir, ".go") {
		if strings.Contains(strings.TrimPrefix(file, "../"), "/") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Type.Results == nil {
				continue
			}
			results := f.Type.Results.List
			if last, ok := results[len(results)-1].Type.(*ast.Ident); !ok || last.Name != "error" {
				continue
			}
			name := f.Name.Name
			if f.Recv != nil {
				if name = typeName(f.Recv.List[0].Type) + "." + name; !token.IsExported(name) {
					continue
				}
			}
			methods = append(methods, name)
		}
	}
	require.Greater(t, len(methods), 20)
	return methods
}
