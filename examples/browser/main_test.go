package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
)

// openPage opens a URL in a browser without a window, until the test ends.
func openPage(t *testing.T, url string) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("MQTT_REQUIRE_SERVERS") == "" {
		t.Skip("needs chromium")
	}
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	browser := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", url)
	browser.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	browser.Stdout, browser.Stderr = &said, &said
	require.NoError(t, browser.Start())
	t.Cleanup(func() {
		cancel()
		browser.Wait() // was killed
		if t.Failed() {
			t.Log(said.String())
		}
	})
}

// The client works in a browser: at every QoS, with packets of any size, and over lost
// connections.
func TestClientInABrowser(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	require.NoError(t, build(ctx, dir))
	b := broker.New(broker.Config{})
	defer b.Close()
	ln, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- serve(serving, ln, handler(dir, b, "")) }()
	defer func() {
		stop()
		require.NoError(t, <-served)
	}()

	client, err := mqtt.Connect(ctx, "mqtt://memory", mqtt.Config{
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) },
	})
	require.NoError(t, err)
	defer client.Close()
	room, err := client.Subscribe(ctx, "room", mqtt.ExactlyOnce)
	require.NoError(t, err)
	openPage(t, fmt.Sprintf("http://%s/", ln.Addr()))
	m, err := room.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, "somebody has come in", string(m.Payload))

	ask := func(topic string, payload []byte) []byte {
		for {
			// The page may not have begun to answer, or lose its connection with the request.
			limited, cancel := context.WithTimeout(ctx, 5*time.Second)
			answer, err := client.Request(limited, &mqtt.Message{Topic: topic, Payload: payload, QoS: mqtt.AtLeastOnce})
			cancel()
			if err == nil {
				return answer.Payload
			}
			require.NoError(t, ctx.Err(), "%v", err)
		}
	}
	awaitText := func(text string) {
		for !strings.Contains(string(ask("page/text", nil)), text) {
			require.NoError(t, ctx.Err(), "the page does not show %q", text)
		}
	}
	for _, qos := range []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce, mqtt.ExactlyOnce} {
		text := fmt.Sprintf("with QoS %d", qos)
		require.NoError(t, client.Publish(ctx, "room", []byte(text), qos))
		awaitText(text)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	require.Equal(t, large, ask("page/echo", large))

	for i := range 3 {
		b.DropConnections()
		text := fmt.Sprintf("after loss %d", i)
		require.NoError(t, client.Publish(ctx, "room", []byte(text), mqtt.ExactlyOnce))
		awaitText(text)
	}
}
