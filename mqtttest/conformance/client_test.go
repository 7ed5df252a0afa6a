package conformance

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// asProgram makes this test binary a program under test.
const asProgram = "MQTT_CONFORMANCE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if err := Serve(context.Background(), os.Stdin, os.Stdout, newPlain(misbehaviour{})); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestCommandSpeaksTheLineProtocol(t *testing.T) {
	t.Setenv(asProgram, "1")
	self, err := os.Executable()
	require.NoError(t, err)
	open := func(ctx context.Context) (Client, error) { return Command(ctx, self) }
	only := func(s *Statement) bool { return s.Name == "bom" }
	results, err := ClientRun{Open: open, Only: only}.Run(t.Context())
	require.NoError(t, err)
	require.Len(t, results, 2)
	for _, r := range results {
		require.Equal(t, Passes, r.Outcome, "%s", r)
	}
}

func TestCommandOfAProgramThatSaysNothing(t *testing.T) {
	nothing, err := exec.LookPath("true")
	require.NoError(t, err)
	_, err = Command(t.Context(), nothing)
	require.Error(t, err)
}

func TestNamesOfStatementsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range ClientStatements() {
		require.False(t, seen[s.Name], s.Name)
		seen[s.Name] = true
		require.NotEmpty(t, s.Text, s.Name)
		require.NotEmpty(t, append(s.Numbers(wire.V311), s.Numbers(wire.V5)...), s.Name)
	}
}
