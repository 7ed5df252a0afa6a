package servers

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// deadline bounds what one test does with a server that runs.
const deadline = 60 * time.Second

func connect(t *testing.T, url string, cfg mqtt.Config) (*mqtt.Client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	client, err := mqtt.Connect(ctx, url, cfg)
	if err == nil {
		t.Cleanup(func() { client.Close() })
	}
	return client, err
}

// exchange publishes a message and receives it.
func exchange(t *testing.T, url string, cfg mqtt.Config) {
	t.Helper()
	client, err := connect(t, url, cfg)
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	sub, err := client.Subscribe(ctx, "a/b", mqtt.AtLeastOnce)
	require.NoError(t, err)
	require.NoError(t, client.Publish(ctx, "a/b", []byte("hello"), mqtt.AtLeastOnce))
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, "hello", string(m.Payload))
}

func TestEveryKindStartsWithEverything(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			s := kind.Start(t, Options{
				TLS: true, WebSocket: true, Users: map[string]string{"user": "secret"},
				MaximumPacketSize: 1 << 20, ReceiveMaximum: 10, Connections: 10,
			})
			require.Regexp(t, `^\d+\.\d+\.\d+$|of this repository`, s.Version())
			for _, v := range kind.Versions {
				cfg := mqtt.Config{Version: v, Username: "user", Password: "secret", TLS: s.ClientTLS()}
				for _, url := range []string{s.URL(), s.TLSURL(), s.WebSocketURL()} {
					if url != "" {
						exchange(t, url, cfg)
					}
				}
				cfg.Password = "wrong"
				_, err := connect(t, s.TLSURL(), cfg)
				require.Error(t, err)
			}
		})
	}
}

func TestEveryKindComesBack(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			s := kind.Start(t, Options{})
			cfg := mqtt.Config{Version: kind.Versions[0]}
			exchange(t, s.URL(), cfg)
			s.Restart()
			exchange(t, s.URL(), cfg)
			s.Crash()
			_, err := connect(t, s.URL(), cfg)
			require.Error(t, err)
			s.Restart()
			exchange(t, s.URL(), cfg)
		})
	}
}
