package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/exit"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// call runs the command with standard error on a terminal or in memory.
func call(ctx context.Context, stderr io.Writer, args ...string) (stdout string, err error) {
	var out bytes.Buffer
	cmd := Command()
	cmd.Flags().Bool("help", false, "")      // as the root does: -h is --host
	cmd.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	cmd.SetOut(&out)
	cmd.SetErr(stderr)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.ExecuteContext(ctx)
	return out.String(), err
}

func TestWrongUse(t *testing.T) {
	t.Setenv("MQTT_SERVER", "")
	t.Setenv("MQTT_PROFILES", filepath.Join(t.TempDir(), "profiles.toml"))
	require.NoError(t, os.WriteFile(os.Getenv("MQTT_PROFILES"), nil, 0o600))
	for _, args := range [][]string{
		{}, {"no-url"}, {"mqtt://127.0.0.1:1", "--timeout", "0"}, {"mqtt://127.0.0.1:1", "--max-topic", "70000"},
		{"mqtt://127.0.0.1:1", "--topic-prefix", "a/#"}, {"mqtt://127.0.0.1:1", "--max-payload", "-1"}, {"mqtt://127.0.0.1:1", "--max-filters", "0"},
	} {
		_, err := call(t.Context(), io.Discard, args...)
		require.Equal(t, exit.Usage, exit.Code(err), "%q: %v", args, err)
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	out, err := call(t.Context(), io.Discard, "mqtt://127.0.0.1:1")
	require.Equal(t, exit.Connection, exit.Code(err))
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, out, "may be left")
}

func TestServerThatRefusesEverybody(t *testing.T) {
	t.Parallel()
	_, server := inProcess(t, broker.Config{Authenticators: []broker.Authenticator{broker.AuthenticatorFunc(
		func(context.Context, *broker.Login) broker.Decision {
			return broker.Deny(wire.BadUserNameOrPassword, "")
		})}})
	_, err := call(t.Context(), io.Discard, strings.Replace(server, "://", "://alice:secret@", 1))
	require.Equal(t, exit.Connection, exit.Code(err))
	require.ErrorContains(t, err, "bad user name or password (0x86)")
	require.NotContains(t, err.Error(), "secret")
}

// The server keeps no promise about identifiers; the command says so in all forms.
func TestCommandWritesAllForms(t *testing.T) {
	t.Parallel()
	b := mqtttest.NewBroker(t)
	b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
		m := *p.Packet.(*wire.Publish)
		if p.Direction == mqtttest.Down && m.Properties != nil {
			properties := *m.Properties
			properties.SubscriptionIDs, m.Properties = nil, &properties
			p.Replace(&m)
		}
	})
	file := filepath.Join(t.TempDir(), "probe.json")
	out, err := call(t.Context(), io.Discard, b.URL(), "--json", file, "--strict", "--timeout", "2m", "--max-topic", "100", "--max-filters", "4")
	require.Equal(t, exit.Failed, exit.Code(err))
	require.ErrorContains(t, err, "answers that are wrong: 1")
	require.Regexp(t, `subscription identifiers +wrong +the message came with the identifiers \[\]`, out)
	require.NotContains(t, out, "\x1b", "no colours in a file")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var r Result
	require.NoError(t, json.Unmarshal(text, &r))
	require.Equal(t, Format, r.Format)
	require.Equal(t, Wrong, r.find(t, groupFilters, "subscription identifiers").Answer)
	require.Equal(t, int64(100), *r.find(t, groupLimits, "longest topic").Number)
}

func TestSignalEndsTheProbe(t *testing.T) {
	t.Parallel()
	terminal, tty, err := pty.Open()
	require.NoError(t, err)
	defer terminal.Close()
	shown := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(terminal) // ends with an error when the other side is closed
		shown <- string(text)
	}()
	ctx, interrupt := context.WithCancelCause(t.Context())
	b := mqtttest.NewBroker(t)
	b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
		if p.Packet.(*wire.Publish).Retain {
			interrupt(exit.Signal{Signal: syscall.SIGINT})
		}
	})
	out, err := call(ctx, tty, b.URL(), "--timeout", "2m", "--json", "-")
	require.Equal(t, 130, exit.Code(err))
	var r Result
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.True(t, r.Interrupted)
	require.Equal(t, Yes, r.find(t, groupMessages, "QoS 2").Answer)
	tty.Close()
	require.Contains(t, <-shown, "kept and sent to new subscriptions …")
	wantNothingLeft(t, b)
}

// What a server sends cannot control the terminal.
func TestTableIsSafeToShow(t *testing.T) {
	r := &Result{URL: "mqtt://host", Version: "5.0", Checks: []Check{
		{Group: groupAnnounced, Name: "reason string", Answer: Value, Value: "\x1b[2Jhello\r\x9b"},
		{Group: groupAnnounced, Name: "b", Answer: No, Note: "a\nb"},
		{Group: groupLimits, Name: "c", Answer: NotTested, Note: "needs --deep"},
		{Group: groupLimits, Name: "d", Answer: NotTested, Note: "needs --deep"},
	}, TLS: &TLS{Subject: "CN=\x1b]0;x"}}
	var b strings.Builder
	require.NoError(t, r.WriteTable(&output.Stream{Writer: &b}))
	require.NotContains(t, b.String(), "\x1b")
	require.NotContains(t, b.String(), "\r")
	require.NotContains(t, b.String(), "a\nb")
	require.Contains(t, b.String(), "limits\n  not tested: needs --deep\n")
}

func TestCredentialsOfTheURLAreUsedAndNotShown(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 100)
	_, server := inProcess(t, broker.Config{Authenticators: []broker.Authenticator{broker.AuthenticatorFunc(
		func(_ context.Context, l *broker.Login) broker.Decision {
			select {
			case seen <- l.Username + ":" + string(l.Password):
			default:
			}
			return broker.Allow()
		})}})
	s, err := newSuiteOf(t, strings.Replace(server, "://", "://alice:secret@", 1), mqtt.Config{})
	require.NoError(t, err)
	require.Equal(t, "alice:secret", <-seen)
	require.Equal(t, server, withoutSecrets(strings.Replace(server, "://", "://alice:secret@", 1)+"?token=secret"))
	s.closePeers()

	// A function that gives other credentials for each connection.
	s, err = newSuiteOf(t, server, mqtt.Config{Attempt: func(_ context.Context, a *mqtt.Attempt) error {
		a.Username, a.Password = "bob", "token"
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, "bob:token", <-seen)
	s.closePeers()
}

// Every field of the file stands in the page that describes it.
func TestPageDescribesEveryField(t *testing.T) {
	page, err := os.ReadFile("../../docs/probe.md")
	require.NoError(t, err)
	for _, typ := range []reflect.Type{reflect.TypeFor[Result](), reflect.TypeFor[Check](), reflect.TypeFor[TLS]()} {
		for field := range typ.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			require.Contains(t, string(page), "`"+name+"`", "%s.%s", typ.Name(), field.Name)
		}
	}
	for _, answer := range []Answer{Yes, No, Wrong, Value, NotTested} {
		require.Contains(t, string(page), "`"+string(answer)+"`")
	}
}
