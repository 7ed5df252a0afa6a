package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// call runs the command with standard error on a file or in memory.
func call(ctx context.Context, stderr io.Writer, args ...string) (stdout string, err error) {
	var out bytes.Buffer
	cmd := Command()
	cmd.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	cmd.SetOut(&out)
	cmd.SetErr(stderr)
	cmd.Flags().Bool("help", false, "") // as the root does: -h is --host
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(ctx)
	return out.String(), err
}

func TestNothingIsSentWithoutBeingTold(t *testing.T) {
	t.Setenv("MQTT_SERVER", "")
	t.Setenv("MQTT_PROFILES", filepath.Join(t.TempDir(), "none.toml"))
	require.NoError(t, os.WriteFile(os.Getenv("MQTT_PROFILES"), nil, 0o600))
	_, err := call(t.Context(), io.Discard)
	require.ErrorContains(t, err, "give the URL")
	require.Equal(t, exit.Usage, exit.Code(err))
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"no-url"},
		{"--embedded", "mqtt://localhost"},
		{"--embedded", "--publishers", "0"},
		{"--embedded", "--spread", "some"},
		{"--embedded", "--report", filepath.Join(t.TempDir(), "missing", "r.html")},
	} {
		_, err := call(t.Context(), io.Discard, args...)
		require.Equal(t, exit.Usage, exit.Code(err), "%q: %v", args, err)
	}
}

func TestServerThatIsNotThereHasItsExitCode(t *testing.T) {
	_, err := call(t.Context(), io.Discard, "mqtt://127.0.0.1:1")
	require.Equal(t, exit.Connection, exit.Code(err))
}

func TestCommandWritesAllForms(t *testing.T) {
	dir := t.TempDir()
	file, page := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.html")
	out, err := call(t.Context(), io.Discard, "--embedded", "--count", "200", "--warmup", "0", "--rate", "5000", "-q", "2", "--drain", "2m", "--json", file, "--report", page)
	require.NoError(t, err)
	require.Contains(t, out, "received      200 of 200")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var r Result
	require.NoError(t, json.Unmarshal(text, &r))
	require.Equal(t, uint64(200), r.Messages.Received)
	require.Equal(t, Format, r.Format)
	require.True(t, r.Server.Embedded)
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(html), "<svg")

	out, err = call(t.Context(), io.Discard, "--embedded", "--count", "10", "--warmup", "0", "--drain", "2m", "--json", "-")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(out), &r), "nothing but JSON on standard output")
}

// On a terminal the live line is drawn; a signal ends the load, and the result comes.
func TestSignalEndsTheLoadInOrder(t *testing.T) {
	terminal, tty, err := pty.Open()
	require.NoError(t, err)
	defer terminal.Close()
	require.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 120}))
	ctx, interrupt := context.WithCancelCause(t.Context())
	shown := make(chan string, 1)
	go func() {
		var all strings.Builder
		b := make([]byte, 4096)
		for {
			n, err := terminal.Read(b)
			all.Write(b[:n])
			// Interrupted when the line has been seen.
			if strings.Contains(all.String(), "received, p50") {
				interrupt(exit.Signal{Signal: syscall.SIGINT})
			}
			if err != nil {
				shown <- all.String()
				return
			}
		}
	}()
	b := mqtttest.NewBroker(t)
	out, err := call(ctx, tty, b.URL(), "--rate", "500", "--duration", "1h", "--warmup", "0", "-q", "1", "--drain", "2m")
	require.Equal(t, 130, exit.Code(err))
	require.True(t, exit.Quiet(err))
	require.Contains(t, out, "! The run was interrupted.")
	require.Contains(t, out, "lost          0")
	tty.Close()
	require.Contains(t, <-shown, "/s sent")
	for _, e := range b.Timeline() {
		if p, ok := e.Packet.(*wire.Disconnect); ok {
			require.Equal(t, wire.NormalDisconnection, p.ReasonCode)
		}
	}
	b.WantNoLeak()
}
