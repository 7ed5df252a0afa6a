package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/term"

	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

const password = "opensesame"

// Each way of giving a password works, and none of them shows it: not in the list of
// processes, not in the log of all packets.
func TestPasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{Users: map[string]string{"alice": password}})
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	profiles := filepath.Join(dir, "profiles.toml")
	require.NoError(t, os.WriteFile(profiles, fmt.Appendf(nil,
		"[profile.a]\nserver = %q\nusername = \"alice\"\npassword = %q\n", server.URL(), password), 0o600))
	for _, test := range []struct {
		name      string
		args, env []string
	}{
		{"file", []string{"-L", server.URL(), "-u", "alice", "--password-file", file}, nil},
		{"command", []string{"-L", server.URL(), "-u", "alice", "--password-command", "cat " + file}, nil},
		{"environment", []string{"-L", server.URL(), "-u", "alice"}, []string{"MQTT_PASSWORD=" + password}},
		{"environment with the server", nil, []string{"MQTT_SERVER=" + server.URL(), "MQTT_USERNAME=alice", "MQTT_PASSWORD=" + password}},
		{"URL in the environment", nil, []string{"MQTT_SERVER=" + strings.Replace(server.URL(), "//", "//alice:"+password+"@", 1)}},
		{"profile", []string{"--profile", "a", "--profiles", profiles}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, append([]string{"sub", "a", "-dd", "-C", "1"}, test.args...)...)
			cmd.Env = append(cmd.Env, test.env...)
			p := start(t, cmd).says("SUBACK")
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
			if err == nil { // elsewhere than on Linux there is none
				require.NotContains(t, string(line), password)
			}
			require.NotContains(t, p.stderr.String(), password)
		})
	}
}

// A command may print tokens that expire, so each connection asks it.
func TestPasswordCommandRunsForEachConnection(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{Users: map[string]string{"alice": password}})
	log := filepath.Join(t.TempDir(), "log")
	p := mqtt(t, "sub", server.URL(), "a", "-dd", "-u", "alice", "--password-command", "echo run >> "+log+"; echo "+password).says("SUBACK")
	runs := func() int {
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		return strings.Count(string(text), "run")
	}
	require.Equal(t, 1, runs())
	server.Restart()
	p.says("connected again")
	require.GreaterOrEqual(t, runs(), 2)

	p = mqtt(t, "pub", server.URL(), "a", "x", "-u", "alice", "--password-command", "exit 3")
	require.Equal(t, 1, p.wait())
	require.Contains(t, p.stderr.String(), "--password-command has failed")
}

func TestErrorsDoNotQuotePasswords(t *testing.T) {
	t.Parallel()
	profiles := filepath.Join(t.TempDir(), "profiles.toml")
	for _, text := range []string{
		"[profile.a]\npassword = " + password + "\n", // without quotes
		"[profile.a]\npassword = \"" + password + "\n",
		"[profile.a]\npassword = { x = \"" + password + "\" }\n",
		"[profile.a]\nserver = \"mqtt://u:" + password + "@host:port\"\n",
		"[profile.a]\nserver = \"u:" + password + "@host\"\n",
		"[profile.a]\nheader = \"Bearer " + password + "\"\n",
		"[profile.a]\nproxy = \"http://u:" + password + "@host:port\"\n",
		"[profile.a]\nserver = \"mqtt://u:" + password + "@127.0.0.1:1\"\n",
	} {
		require.NoError(t, os.WriteFile(profiles, []byte(text), 0o600))
		p := mqtt(t, "pub", "--profiles", profiles, "--profile", "a", "a", "x", "-dd")
		require.NotEqual(t, 0, p.wait(), text)
		require.NotContains(t, p.stderr.String(), password, text)
		require.NotEmpty(t, p.stderr.String())
	}
}

// What the environment has for its own server is not sent to another one.
func TestCredentialsStayWithTheirServer(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{Users: map[string]string{"alice": password}})
	cmd := command(t, "pub", strings.Replace(server.URL(), "127.0.0.1", "localhost", 1), "a", "x")
	cmd.Env = append(cmd.Env, "MQTT_SERVER=mqtt://home.example", "MQTT_USERNAME=alice", "MQTT_PASSWORD="+password)
	p := start(t, cmd)
	require.Equal(t, 3, p.wait())
	require.Contains(t, p.stderr.String(), "MQTT_USERNAME, MQTT_PASSWORD in the environment belong to the server there")
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	home := t.TempDir()
	profiles := filepath.Join(home, ".config", "mqtt", "profiles.toml")
	require.NoError(t, os.MkdirAll(filepath.Dir(profiles), 0o700))
	require.NoError(t, os.WriteFile(profiles, fmt.Appendf(nil, `
default = "home"

[profile.home]
server = ["mqtt://127.0.0.1:1", %q]
mqtt-version = 3.1

[profile.work]
server = "mqtt://u:p@work.example"
`, server.URL()), 0o600))
	run := func(args ...string) *process {
		cmd := command(t, args...)
		cmd.Env = []string{"HOME=" + home}
		return start(t, cmd)
	}
	// The second server stands in for the first.
	run("pub", "a", "x", "-r", "-q", "1").succeeds()
	p := run("sub", "a", "-C", "1", "-dd")
	require.Equal(t, "x\n", p.succeeds())
	require.Contains(t, p.stderr.String(), "version=3.1 ")
	// The command line goes before the profile, and a server there before the default one.
	p = run("sub", "a", "-C", "1", "-dd", "-V", "5")
	require.Equal(t, "x\n", p.succeeds())
	require.Contains(t, p.stderr.String(), "version=5.0 ")
	p = run("sub", server.URL(), "a", "-C", "1", "-dd")
	require.Equal(t, "x\n", p.succeeds())
	require.Contains(t, p.stderr.String(), "version=5.0 ")
	// Names complete, without what is secret.
	require.Equal(t, "home\tmqtt://127.0.0.1:1\nwork\tmqtt://work.example\n:4\n", run("__complete", "pub", "--profile", "").succeeds())
	// A key that is none is an error, and so is a password that others can read a warning.
	require.NoError(t, os.WriteFile(profiles, []byte("default = \"a\"\n[profile.a]\nservr = \"x\"\n"), 0o600))
	p = run("pub", "a", "x")
	require.Equal(t, 2, p.wait())
	require.Contains(t, p.stderr.String(), `no option "servr"`)
	require.NoError(t, os.WriteFile(profiles, fmt.Appendf(nil, "[profile.a]\nserver = %q\npassword = \"x\"\nusername = \"u\"\n", server.URL()), 0o600))
	require.NoError(t, os.Chmod(profiles, 0o644))
	p = run("pub", "a", "x", "--profile", "a")
	p.succeeds()
	require.Contains(t, p.stderr.String(), "chmod 600")
}

// terminal runs cmd in a terminal and collects what it shows.
func terminal(t *testing.T, p *process) (tty *os.File, shown *buffer) {
	shown = &buffer{}
	tty, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 30, Cols: 100})
	require.NoError(t, err)
	p.ended, p.t, p.stdout, p.stderr = make(chan struct{}), t, shown, shown
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(shown, tty) // ends when the process has closed its side
	}()
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
		<-read
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		_ = tty.Close()
		if t.Failed() {
			t.Logf("terminal: %q", shown)
		}
	})
	return tty, shown
}

func TestPasswordIsAskedForWithoutEcho(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{Users: map[string]string{"alice": password}})
	p := &process{t: t, cmd: command(t, "pub", server.URL(), "a", "x", "-q", "1", "-v", "-u", "alice", "--ask-password")}
	tty, shown := terminal(t, p)
	p.waitFor(shown, "Password of alice: ")
	_, err := io.WriteString(tty, password+"\n")
	require.NoError(t, err)
	require.Equal(t, 0, p.wait())
	require.Contains(t, shown.String(), "a: No matching subscribers")
	require.NotContains(t, shown.String(), password)
}

func TestInterruptedPromptRestoresTheTerminal(t *testing.T) {
	t.Parallel()
	p := &process{t: t, cmd: command(t, "pub", "mqtt://127.0.0.1:1", "a", "x", "-u", "alice", "--ask-password")}
	// Another new terminal says how this one began; the program may have changed it by now.
	other, slave, err := pty.Open()
	require.NoError(t, err)
	defer other.Close()
	defer slave.Close()
	before, err := term.GetState(int(other.Fd()))
	require.NoError(t, err)
	tty, shown := terminal(t, p)
	p.waitFor(shown, "Password of alice: ")
	_, err = io.WriteString(tty, "\x03") // Control-C
	require.NoError(t, err)
	require.Equal(t, 130, p.wait())
	after, err := term.GetState(int(tty.Fd()))
	require.NoError(t, err)
	require.Equal(t, before, after) // it echoes again
}

func TestColoursAndControlCharacters(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	mqtt(t, "pub", server.URL(), "color/a", "\x1b[2Jgone \u202e!", "-r", "-q", "1").succeeds()
	p := &process{t: t, cmd: command(t, "sub", server.URL(), "color/a", "-v", "-C", "1")}
	_, shown := terminal(t, p)
	require.Equal(t, 0, p.wait())
	require.Contains(t, shown.String(), "\x1b[36mcolor/a\x1b[0m")
	require.Contains(t, shown.String(), `\x1b[2Jgone \u202e!`)
	require.NotContains(t, shown.String(), "\x1b[2J")

	// What is read by a program is as it came.
	require.Equal(t, "color/a \x1b[2Jgone \u202e!\n", mqtt(t, "sub", server.URL(), "color/a", "-v", "-C", "1").succeeds())
	plain := command(t, "sub", server.URL(), "color/a", "-v", "-C", "1")
	plain.Env = append(plain.Env, "NO_COLOR=1")
	p = &process{t: t, cmd: plain}
	_, shown = terminal(t, p)
	require.Equal(t, 0, p.wait())
	require.NotContains(t, shown.String(), "\x1b[36m")
}
