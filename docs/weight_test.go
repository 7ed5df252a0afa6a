package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What importing the client adds to a program, as README and design/dependencies.md say it.
const (
	sizeOfSmallest = 14 << 20 // bytes of the smallest program, with symbols
	smallest       = `package main

import (
	"context"
	"log"

	"github.com/seed65a45251/mqtt"
)

func main() {
	m := &mqtt.Message{Topic: "t", Payload: []byte("hello")}
	if err := mqtt.PublishOnce(context.Background(), "mqtt://localhost", mqtt.Config{}, m); err != nil {
		log.Fatal(err)
	}
}
`
)

// goCommand runs the go command at the root of the module.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.Command("go", args...)
	c.Dir = ".."
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func TestImportingTheClientAddsFewPackages(t *testing.T) {
	permitted := []string{
		module, module + "/wire", module + "/match", module + "/session", module + "/reconnect", module + "/store",
		module + "/internal/", "github.com/coder/websocket", "golang.org/x/sync/errgroup",
		"golang.org/x/net/proxy", "golang.org/x/net/internal/socks",
	}
	for dep := range strings.FieldsSeq(goCommand(t, "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")) {
		known := false
		for _, p := range permitted {
			known = known || dep == p || strings.HasPrefix(dep, p) && strings.HasSuffix(p, "/") || strings.HasPrefix(dep, p+"/") && !strings.HasPrefix(p, module)
		}
		require.True(t, known, "the client needs %s", dep)
	}
}

func TestTheSmallestProgramIsSmall(t *testing.T) {
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	require.NoError(t, os.WriteFile(source, []byte(smallest), 0o600))
	goCommand(t, "build", "-o", program, source)
	info, err := os.Stat(program)
	require.NoError(t, err)
	t.Logf("%d bytes with %s", info.Size(), runtime.Version())
	require.Less(t, info.Size(), int64(sizeOfSmallest))
}
