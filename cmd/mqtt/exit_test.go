package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	acl := filepath.Join(t.TempDir(), "acl")
	require.NoError(t, os.WriteFile(acl, []byte("topic readwrite open/#\ntopic readwrite responses/#\n"), 0o644))
	server := mosquitto.Start(t, mosquitto.Options{Config: []string{"acl_file " + acl}})
	locked := mosquitto.Start(t, mosquitto.Options{Users: map[string]string{"alice": "wonder"}})
	for _, test := range []struct {
		args  string
		code  int
		about string
	}{
		{"pub open/a x -q 1", 0, ""},
		{"version", 0, ""},
		{"--version", 0, ""},
		{"pub closed/a x -q 1", 5, "not authorized"},
		{"sub open/quiet -W 1", 4, "no message within 1s"},
		{"sub open/quiet -W 1 -C 2", 4, "0 of 2 messages within 1s"},
		{"request open/nobody x", 5, "no matching subscribers"},
		{"request open/nobody x -q 0 -W 1", 4, "no response within 1s"},
		{"pub -L " + locked.URL() + " a x", 3, "not authorized"},
		{"pub -L mqtt://127.0.0.1:1 a x", 3, "connection refused"},
		{"pub a/# x", 2, "wildcard"},
		{"pub a", 2, "give a message"},
		{"pub", 2, "give a topic"},
		{"pub a b c", 2, "too many"},
		{"pub a -m x -n", 2, "none of the others can be"},
		{"pub localhost:1883 a x", 2, "mqtt://host"},
		{"pub a x -q 3", 2, "must be 0, 1 or 2"},
		{"pub a x -p abc", 2, "--port \"abc\" is not a number that fits: invalid syntax"},
		{"pub a x --no-such-flag", 2, "unknown flag"},
		{"pub a x --expiry 60 -V 3.1.1 --content-type t", 2, "needs version 5.0"},
		{"pub a x --profile none", 2, "no profile"},
		{"pub a x --will-payload bye", 2, "--will-topic"},
		{"pub a x --ca no-such-file", 2, "--ca"},
		{"sub a#", 2, "a#"},
		{"sub a -F %y", 2, "%y is not known"},
		{"sub a --template {{.Nothing}", 2, "--template"},
		{"respond a", 2, "give one of"},
		{"respond a -- no-such-command", 2, "no-such-command"},
		{"pbu a x", 2, "Did you mean"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, strings.Fields(test.args)...)
			cmd.Env = append(cmd.Env, "MQTT_SERVER="+server.URL())
			p := start(t, cmd)
			require.Equal(t, test.code, p.wait())
			require.Contains(t, p.stderr.String(), test.about)
		})
	}
}

func TestEveryCommandTeaches(t *testing.T) {
	t.Parallel()
	help := mqtt(t).succeeds()
	_, commands, _ := strings.Cut(help, "Commands:\n")
	commands, _, _ = strings.Cut(commands, "\n\n")
	seen := 0
	for line := range strings.Lines(commands) {
		name := strings.Fields(line)[0]
		switch name {
		case "help", "completion", "version":
			continue
		}
		seen++
		text := mqtt(t, name, "--help").succeeds()
		require.Regexp(t, `(?s)\nExamples:\n.*mqtt `+name+" ", text)
	}
	require.GreaterOrEqual(t, seen, 5)
	require.Equal(t, mqtt(t, "pub", "--help").succeeds(), mqtt(t, "pub", "-h").succeeds())
	require.Contains(t, mqtt(t, "help", "connection").succeeds(), "profiles.toml")
}

func TestManualPagesAndCompletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mqtt(t, "man", dir).succeeds()
	page, err := os.ReadFile(filepath.Join(dir, "mqtt-pub.1"))
	require.NoError(t, err)
	require.Contains(t, string(page), ".TH")
	page, err = os.ReadFile(filepath.Join(dir, "mqtt-bridge.1"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)\.EX\nid = "home" .*\nlocal = `, string(page)) // lines of a configuration stay lines
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, mqtt(t, "completion", shell).succeeds(), "mqtt")
	}
}
