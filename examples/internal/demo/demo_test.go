package demo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/examples/internal/demo"
)

func TestServer(t *testing.T) {
	url, stop, err := demo.Server("mqtt://example.com")
	require.NoError(t, err)
	require.Equal(t, "mqtt://example.com", url)
	stop()

	url, stop, err = demo.Server("")
	require.NoError(t, err)
	client, err := mqtt.Connect(t.Context(), url, mqtt.Config{})
	require.NoError(t, err)
	require.NoError(t, client.Close())
	stop()
	_, err = mqtt.Connect(t.Context(), url, mqtt.Config{})
	require.Error(t, err)
}
