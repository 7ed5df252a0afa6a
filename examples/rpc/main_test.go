package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/mqtttest"
)

func TestRPC(t *testing.T) {
	for name, server := range map[string]string{"embedded": "", "Mosquitto": mosquitto.Start(t, mosquitto.Options{}).URL()} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, run(t.Context(), &out, server, false))
			require.Equal(t, `sqrt(2) = 1.414
sqrt(two): the service says: not a number
cbrt(8): the service says: no such operation
factor(1e9): no answer in time
`, out.String())
		})
	}
}

func TestTheServiceAlone(t *testing.T) {
	b := mqtttest.NewBroker(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, io.Discard, b.URL(), true) }()
	b.WantSubscribed("$share/calculators/calc/+")
	client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{})
	require.NoError(t, err)
	defer client.Close()
	response, err := client.Request(t.Context(), &mqtt.Message{Topic: "calc/sqrt", Payload: []byte("9")})
	require.NoError(t, err)
	require.Equal(t, "3.000", string(response.Payload))
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}
