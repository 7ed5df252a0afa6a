package bolt_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// children are what this test program does instead of testing when it starts
// itself: what a test does to a process can only be done to another one.
var children = map[string]func(path string) error{
	"commit": commitUntilKilled,
}

const childVariable = "BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childVariable); role != "" {
		if err := children[role](os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, path)
	cmd.Env = append(os.Environ(), childVariable+"="+role)
	return cmd
}

// startChild starts one whose output is read line by line.
func startChild(t *testing.T, role, path string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := child(t, role, path)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewReader(out)
}

// runChild runs one that is to find no fault.
func runChild(t *testing.T, role, path string) {
	t.Helper()
	out, err := child(t, role, path).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// restOf reads what a child has written before its end.
func restOf(t *testing.T, out io.Reader) string {
	t.Helper()
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	return string(rest)
}
