package conformancetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// Each statement that is checked has one place in the code, and the place exists.
func TestEachStatementHasItsPlace(t *testing.T) {
	placed := map[string]bool{}
	for _, p := range ClientPlaces {
		code, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(p.File)))
		require.NoError(t, err)
		require.Regexp(t, `(?m)^func (\(\w+ [^)]+\) )?`+p.Func+`[(\[]`, string(code), "%s in %s", p.Func, p.File)
		for _, name := range p.Statements() {
			require.False(t, placed[name], "%s has two places", name)
			placed[name] = true
		}
	}
	for _, s := range conformance.ClientStatements() {
		require.Equal(t, s.NotObserved == "", placed[s.Name], "%s", s.Name)
		delete(placed, s.Name)
	}
	require.Empty(t, placed, "no such statements")
}
