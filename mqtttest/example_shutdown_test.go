package mqtttest_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// work is the program under test: it takes jobs, each of which takes it a second,
// and publishes their results. When ctx ends it finishes the job at hand. What it
// has not begun stays unacknowledged, so the broker keeps it for the next process.
func work(ctx context.Context, server string, cfg mqtt.Config) error {
	// The session outlives the process, so the end of ctx must not end its work.
	life := context.WithoutCancel(ctx)
	cfg.ClientID, cfg.Resume = "worker", true
	client, err := mqtt.Connect(life, server, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	sub, err := client.SubscribeWith(life, mqtt.SubscribeOptions{
		Filters:   []mqtt.Filter{{Filter: "jobs", QoS: mqtt.AtLeastOnce}},
		ManualAck: true,
	})
	if err != nil {
		return err
	}
	for job, err := range sub.All(ctx) {
		if err != nil {
			break // told to stop
		}
		time.Sleep(time.Second)
		if err := client.Publish(life, "results", job.Payload, mqtt.AtLeastOnce); err != nil {
			return err
		}
		if err := job.Ack(); err != nil {
			return err
		}
	}
	err = client.Disconnect(life)
	if _, left := errors.AsType[*mqtt.UnfinishedError](err); left {
		return nil // jobs for the next process
	}
	return err
}

// A graceful shutdown loses nothing: stop the program in the middle of its work,
// start it again, and count.
func TestExampleShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		start := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			stopped := make(chan error, 1)
			go func() { stopped <- work(ctx, b.URL(), mqtt.Config{Dial: b.Dial}) }()
			return func() {
				cancel()
				require.NoError(t, <-stopped)
				b.WantDisconnected("worker")
			}
		}
		stop := start()
		b.WantSubscribed("jobs")
		var jobs []string
		for i := range 100 {
			jobs = append(jobs, strconv.Itoa(i))
			b.Publish(&wire.Publish{Topic: "jobs", Payload: []byte(jobs[i]), QoS: wire.AtLeastOnce, PacketID: 1})
		}

		// Three times it is stopped half way through a job.
		for range 3 {
			time.Sleep(20*time.Second + 500*time.Millisecond)
			before := time.Now()
			stop()
			require.Less(t, time.Since(before), time.Second) // that job, and no other
			stop = start()
		}
		// All results, in order, and none twice.
		require.Len(t, b.WantPublished("results", jobs...), 100)
		time.Sleep(time.Hour)
		require.Len(t, b.WantPublished("results"), 100)
		stop()
		require.Zero(t, b.Stats().Dropped)
	})
}
