package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/mqtttest"
)

func TestPipeline(t *testing.T) {
	for name, server := range map[string]string{"embedded": "", "Mosquitto": mosquitto.Start(t, mosquitto.Options{}).URL()} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, run(t.Context(), &out, server, 24))
			require.Equal(t, `pipeline/cellar/mean 3.00
pipeline/roof/mean 4.00
pipeline/cellar/mean 11.00
pipeline/roof/mean 12.00
pipeline/cellar/mean 19.00
pipeline/roof/mean 20.00
`, out.String())
		})
	}
}

// An error of one stage ends the others, also while they wait.
func TestPipelineEndsWithTheFirstError(t *testing.T) {
	b := mqtttest.NewBroker(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, io.Discard, b.URL(), 0) }()
	b.WantSubscribed("pipeline/+/reading")
	mqtt.PublishOnce(t.Context(), b.URL(), mqtt.Config{}, &mqtt.Message{Topic: "pipeline/x/reading", Payload: []byte("1"), QoS: 1})
	enough := errors.New("enough")
	cancel(enough)
	require.ErrorIs(t, <-ended, enough)
}
