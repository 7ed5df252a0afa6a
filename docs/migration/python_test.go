package migration_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

const python = "/usr/bin/python3" // Debian's own Python has Debian's Paho

// missing skips a test that needs what a command looks for, or fails it.
func missing(t *testing.T, command ...string) {
	if err := exec.Command(command[0], command[1:]...).Run(); err != nil {
		if os.Getenv("MQTT_REQUIRE_SERVERS") != "" {
			t.Fatal(command, err)
		}
		t.Skip(command, err)
	}
}

// before starts a function of paho_before.py.
func before(t *testing.T, b *mqtttest.Broker, name string) (cmd *exec.Cmd, out *bytes.Buffer) {
	missing(t, python, "-c", "import paho.mqtt.client")
	u, err := url.Parse(b.URL())
	require.NoError(t, err)
	cmd = exec.CommandContext(t.Context(), python, filepath.Join("python", "run.py"), name, u.Hostname(), u.Port())
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	return cmd, out
}

func TestPythonService(t *testing.T) {
	job := &wire.Publish{Topic: "jobs/1", Payload: []byte("dig"), QoS: wire.AtLeastOnce}
	t.Run("before", func(t *testing.T) {
		b := newBroker(t)
		cmd, out := before(t, b, "service")
		defer func() {
			cmd.Process.Kill()
			cmd.Wait()
			t.Log(out)
		}()
		b.WantSubscribed("jobs/+")
		b.Publish(job)
		b.WantPublished("results/7", "DIG")
	})
	for name, run := range map[string]func(context.Context, string) error{
		"after": func(ctx context.Context, server string) error { return pythonService(ctx, server, bytes.ToUpper) },
		"loop": func(ctx context.Context, server string) error {
			client, err := mqtt.Connect(ctx, server, mqtt.Config{})
			if err != nil {
				return err
			}
			defer client.Close()
			return loop(ctx, client, bytes.ToUpper)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, b.URL()) }()
			b.WantSubscribed("jobs/+")
			b.Publish(job)
			b.WantPublished("results/7", "DIG")
			stop()
			require.ErrorIs(t, <-ended, context.Canceled)
		})
	}
}

func TestPythonPublishesAndReceivesOnce(t *testing.T) {
	for _, name := range []string{"publishing", "once"} {
		b := newBroker(t)
		cmd, out := before(t, b, name)
		require.NoError(t, cmd.Wait(), out)
	}
	b := newBroker(t)
	require.NoError(t, once(t.Context(), b.URL()))
	b.WantPublished("sensors/7/unit", "C")
}

// The programs whose library Debian does not have are at least Python.
func TestPythonCompiles(t *testing.T) {
	missing(t, python, "-c", "import ast")
	const compile = "import sys; [compile(open(f).read(), f, 'exec') for f in sys.argv[1:]]"
	out, err := exec.Command(python, "-c", compile, filepath.Join("python", "mqttproto_before.py"), filepath.Join("python", "paho_before.py")).CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestPythonSecureAndServe(t *testing.T) {
	b, server, err := serve(t.Context(), "localhost:0")
	require.NoError(t, err)
	defer b.Close()
	client, err := mqtt.Connect(t.Context(), server, mqtt.Config{})
	require.NoError(t, err)
	require.NoError(t, client.Close())
	_, err = secure(t.Context(), server[len("mqtt://"):], x509.NewCertPool())
	require.Error(t, err) // this port has no TLS
}
