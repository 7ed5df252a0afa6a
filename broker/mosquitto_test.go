package broker

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// mosquittoClients returns the paths of Mosquitto's command line clients. Without
// them the test is skipped, or fails if MQTT_REQUIRE_SERVERS=1.
func mosquittoClients(t *testing.T) (pub, sub string) {
	t.Helper()
	pub, errPub := exec.LookPath("mosquitto_pub")
	sub, errSub := exec.LookPath("mosquitto_sub")
	if errPub == nil && errSub == nil {
		return pub, sub
	}
	require.NotEqual(t, "1", os.Getenv("MQTT_REQUIRE_SERVERS"), "mosquitto_pub and mosquitto_sub are required")
	t.Skip("mosquitto_pub and mosquitto_sub are not installed (Debian: mosquitto-clients)")
	return "", ""
}

func TestMosquittoClients(t *testing.T) {
	pub, sub := mosquittoClients(t)
	for _, version := range []string{"31", "311", "5"} {
		for qos := range 3 {
			t.Run(fmt.Sprintf("version %s QoS %d", version, qos), func(t *testing.T) {
				t.Parallel()
				exchange(t, pub, sub, qos, "-V", version, "-q", fmt.Sprint(qos))
			})
		}
	}
}

// exchange sends a retained message and two hundred lines through a broker.
func exchange(t *testing.T, pub, sub string, qos int, common ...string) {
	b := New(Config{})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	addr, err := b.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)
	common = append(common, "-h", "127.0.0.1", "-p", port)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	command := func(program string, args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, program, append(args, common...)...)
	}

	first := command(pub, "-t", "a/first", "-m", "retained", "-r")
	out, err := first.CombinedOutput()
	require.NoError(t, err, "%s", out)

	const lines = 200
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	// The retained message says that the subscription stands.
	subscribed := make(chan struct{})
	receiver := command(sub, "-t", "a/#", "-C", fmt.Sprint(lines+1), "-F", "%t %p")
	var received bytes.Buffer
	receiver.Stdout = writerFunc(func(p []byte) (int, error) {
		if received.Len() == 0 {
			close(subscribed)
		}
		return received.Write(p)
	})
	require.NoError(t, receiver.Start())
	select {
	case <-subscribed:
	case <-ctx.Done():
		require.NoError(t, ctx.Err())
	}

	sender := command(pub, "-t", "a/b", "-l")
	sender.Stdin = strings.NewReader(text.String())
	require.NoError(t, sender.Start())
	require.NoError(t, receiver.Wait())
	if qos == 0 {
		// Its two threads may note the last two messages the other way round.
		// Then it waits forever, at Mosquitto too.
		_ = sender.Process.Kill()
		_ = sender.Wait()
	} else {
		require.NoError(t, sender.Wait())
	}
	require.Equal(t, "a/first retained\n"+strings.ReplaceAll(text.String(), "line", "a/b line"), received.String())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestMosquittoSessionOutlivesTheServersRestart(t *testing.T) {
	_, sub := mosquittoClients(t)
	b := New(Config{})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	socket := filepath.Join(t.TempDir(), "mqtt")
	common := []string{"--unix", socket, "-q", "1", "-i", "c1", "-t", "a"}

	serve := func(f func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ln, err := net.Listen("unix", socket)
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- b.Serve(ctx, ln) }()
		f()
		cancel()
		require.NoError(t, <-served)
	}
	serve(func() {
		out, err := exec.Command(sub, append(common, "-c", "-E")...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte("meanwhile"), QoS: wire.AtLeastOnce}))
	serve(func() {
		out, err := exec.Command(sub, append(common, "-c", "-C", "1", "-W", "10")...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, "meanwhile\n", string(out))
	})
}
