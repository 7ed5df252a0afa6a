package main

import (
	"io"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestTailInATerminal(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	mqtt(t, "pub", server.URL(), "house/hall/temp", "21.5", "-r", "-q", "1").succeeds()
	p := &process{t: t, cmd: command(t, "tail", server.URL())}
	tty, shown := terminal(t, p)
	p.waitFor(shown, "hall")
	p.waitFor(shown, "21.5")
	mqtt(t, "pub", server.URL(), "house/attic", "cold", "-q", "1").succeeds()
	p.waitFor(shown, "attic")
	_, err := io.WriteString(tty, "q")
	require.NoError(t, err)
	require.Equal(t, 0, p.wait())
	require.Contains(t, shown.String(), "\x1b[?1049l") // the screen is as it was before

	p = &process{t: t, cmd: command(t, "tail", server.URL())}
	_, shown = terminal(t, p)
	p.waitFor(shown, "hall")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, p.wait())
	require.Contains(t, shown.String(), "\x1b[?1049l")

	p = mqtt(t, "tail", server.URL())
	require.Equal(t, 2, p.wait())
	require.Contains(t, p.stderr.String(), "needs a terminal")
}
