package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// TestMain is the device where a test has started this binary as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-server" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestTelemetry(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, "", "", 10, time.Millisecond))
	require.Regexp(t, regexp.MustCompile(`^0 readings of an earlier process are in the Store
(kept \d+-\d
){10}there was no server all this time; here it is
10 readings delivered
$`), out.String())
}

func TestReadingsStayInTheStore(t *testing.T) {
	dir := t.TempDir()
	nowhere := "unix://" + dir + "/nobody"
	ctx, cancel := context.WithCancel(t.Context())
	var out strings.Builder
	lines := writer(func(p []byte) (int, error) {
		if out.Write(p); strings.Count(out.String(), "kept") == 3 {
			cancel()
		}
		return len(p), nil
	})
	require.ErrorIs(t, run(ctx, lines, nowhere, dir, 0, time.Millisecond), context.Canceled)
	require.Contains(t, out.String(), "3 readings stay in the Store")
	server := mosquitto.Start(t, mosquitto.Options{})
	out.Reset()
	require.NoError(t, run(t.Context(), &out, server.URL(), dir, 2, time.Millisecond))
	require.Contains(t, out.String(), "3 readings of an earlier process")
	require.Contains(t, out.String(), "5 readings delivered")
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestNoReadingIsLostThoughTheDeviceIsKilled kills the process again and again.
func TestNoReadingIsLostThoughTheDeviceIsKilled(t *testing.T) {
	server, dir := mosquitto.Start(t, mosquitto.Options{}), t.TempDir()
	client, err := mqtt.Connect(t.Context(), server.URL(), mqtt.Config{})
	require.NoError(t, err)
	defer client.Close()
	sub, err := client.Subscribe(t.Context(), "telemetry/reading", mqtt.AtLeastOnce)
	require.NoError(t, err)
	var kept []string
	for kill := range 6 {
		device := exec.Command(os.Args[0], "-server", server.URL(), "-dir", dir, "-n", "0", "-pace", "1ms")
		device.Stderr = t.Output()
		stdout, err := device.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, device.Start())
		lines := bufio.NewScanner(stdout)
		for n := 0; n < 10+7*kill && lines.Scan(); {
			if reading, ok := strings.CutPrefix(lines.Text(), "kept "); ok {
				kept = append(kept, reading)
				n++
			}
		}
		require.NoError(t, device.Process.Kill())
		_ = device.Wait()
	}
	// What the last one has left is sent by one more.
	require.NoError(t, run(t.Context(), t.Output(), server.URL(), dir, 1, time.Millisecond))
	require.NoError(t, client.Publish(t.Context(), "telemetry/reading", []byte("end"), mqtt.AtLeastOnce))
	arrived := make(map[string]bool)
	for {
		m, err := sub.Next(t.Context())
		require.NoError(t, err)
		if string(m.Payload) == "end" {
			break
		}
		arrived[string(m.Payload)] = true
	}
	for _, reading := range kept {
		require.True(t, arrived[reading], reading)
	}
}
