package conversation

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// Publish begins a Publish to the topic t.
func Publish(t *testing.T, c *mqtt.Client, payload string, qos mqtt.QoS) *Call {
	return Begin(func() error { return c.Publish(t.Context(), "t", []byte(payload), qos) })
}

// PublishAsync publishes to the topic t without waiting.
func PublishAsync(t *testing.T, c *mqtt.Client, payload string, qos mqtt.QoS) *mqtt.Delivery {
	t.Helper()
	d, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: qos})
	require.NoError(t, err)
	return d
}

// Settled reports whether d is done once everything else in the bubble waits.
func Settled(d *mqtt.Delivery) bool {
	synctest.Wait()
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}
