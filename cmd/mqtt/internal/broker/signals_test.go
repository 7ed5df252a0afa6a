package broker

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The built program serves Mosquitto's tools, and obeys signals.
func TestSignals(t *testing.T) {
	tool, err := exec.LookPath("mosquitto_pub")
	if err != nil && os.Getenv("MQTT_REQUIRE_SERVERS") == "" {
		t.Skip("needs mosquitto_pub")
	}
	require.NoError(t, err)
	dir := t.TempDir()
	program := filepath.Join(dir, "mqtt")
	out, err := exec.Command("go", "build", "-o", program, "../..").CombinedOutput()
	require.NoError(t, err, "%s", out)
	passwords := filepath.Join(dir, "passwords")
	write(t, passwords, hashed(t, "alice", "secret"))

	cmd := exec.Command(program, "broker", "--listen", "mqtt://127.0.0.1:0", "--passwords", passwords)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer cmd.Process.Kill()
	said := bufio.NewScanner(stdout)
	require.True(t, said.Scan())
	at, err := url.Parse(strings.TrimPrefix(said.Text(), "listening on "))
	require.NoError(t, err)
	publish := func(password string) error {
		return exec.Command(tool, "-h", at.Hostname(), "-p", at.Port(), "-V", "5", "-q", "2",
			"-u", "alice", "-P", password, "-t", "t", "-m", "x").Run()
	}
	require.NoError(t, publish("secret"))
	require.Error(t, publish("other"))

	log := bufio.NewScanner(stderr)
	await := func(text string) {
		for log.Scan() {
			if strings.Contains(log.Text(), text) {
				return
			}
		}
		require.Fail(t, "not logged", text)
	}
	write(t, passwords, hashed(t, "alice", "other"))
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	await("reloaded")
	require.NoError(t, publish("other"))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	await("broker stops")
	require.NoError(t, cmd.Wait(), "a server that was told to end has done its work")
}
