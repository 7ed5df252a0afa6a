package mqtttest_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// watchTemperatures is the program under test: it raises an alarm for every
// temperature above 90 degrees, until ctx ends.
func watchTemperatures(ctx context.Context, server string, cfg mqtt.Config) error {
	client, err := mqtt.Connect(ctx, server, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	sub, err := client.Subscribe(ctx, "sensors/+/temp", mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	for msg, err := range sub.All(ctx) {
		if err != nil {
			return err
		}
		sensor := strings.Split(msg.Topic, "/")[1]
		degrees, err := strconv.ParseFloat(string(msg.Payload), 64)
		if err != nil || degrees <= 90 {
			continue
		}
		if err := client.Publish(ctx, "alarms/"+sensor, msg.Payload, mqtt.AtLeastOnce); err != nil {
			return err
		}
	}
	return nil
}

// A handler processes a message: publish what it waits for, want what it
// answers.
func TestExampleHandler(t *testing.T) {
	// In a bubble nothing takes real time, and a goroutine that the program leaves
	// behind fails the test.
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- watchTemperatures(ctx, b.URL(), mqtt.Config{Dial: b.Dial}) }()

		// Without this the messages could come before anybody listens.
		b.WantSubscribed("sensors/+/temp")
		for sensor, degrees := range map[string]string{"7": "91.5", "8": "20", "9": "not a number"} {
			b.Publish(&wire.Publish{Topic: "sensors/" + sensor + "/temp", Payload: []byte(degrees)})
		}
		b.WantPublished("alarms/7", "91.5")

		// An hour later there is still no other alarm. The hour is over at once.
		time.Sleep(time.Hour)
		require.Len(t, b.WantPublished("alarms/#"), 1)

		stop()
		require.ErrorIs(t, <-stopped, context.Canceled)
		b.WantNoLeak()
	})
}
