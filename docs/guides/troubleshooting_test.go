package guides_test

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

func logged(w io.Writer) mqtt.Config {
	// <log>
	cfg := mqtt.Config{
		Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: mqtt.LevelPacket})),
	}
	// </log>
	return cfg
}

func TestLogged(t *testing.T) {
	b := newBroker(t)
	var log bytes.Buffer
	client, err := mqtt.Connect(t.Context(), b.URL(), logged(&log))
	require.NoError(t, err)
	require.NoError(t, client.Publish(t.Context(), "sensors/7", []byte("secret"), mqtt.AtLeastOnce))
	require.NoError(t, client.Close())
	require.Contains(t, log.String(), "PUBACK")
	require.NotContains(t, log.String(), "secret")
}
