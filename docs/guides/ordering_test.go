package guides_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func handleByDevice(ctx context.Context, client *mqtt.Client, f func(context.Context, *mqtt.Message) error) error {
	// <keys>
	o := mqtt.SubscribeOptions{
		Filters:     []mqtt.Filter{{Filter: "devices/#", QoS: mqtt.AtLeastOnce}},
		Concurrency: 16,
		OrderBy: func(msg *mqtt.Message) string { // devices/7/temp and devices/7/fan stay in order
			_, rest, _ := strings.Cut(msg.Topic, "/")
			device, _, _ := strings.Cut(rest, "/")
			return device
		},
	}
	return client.Handle(ctx, o, f)
	// </keys>
}

func TestHandleByDevice(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	both := make(chan bool)
	var mu sync.Mutex
	var seven []string
	go func() {
		ended <- handleByDevice(ctx, client, func(ctx context.Context, msg *mqtt.Message) error {
			if strings.HasPrefix(msg.Topic, "devices/7/") {
				mu.Lock()
				defer mu.Unlock()
				if seven = append(seven, msg.Topic); len(seven) == 2 {
					close(both)
				}
				return nil
			}
			<-both // device 8 is slow; 7 goes on
			return nil
		})
	}()
	b.WantSubscribed("devices/#")
	for _, topic := range []string{"devices/8/temp", "devices/7/temp", "devices/7/fan"} {
		b.Publish(&wire.Publish{Topic: topic, QoS: wire.AtLeastOnce})
	}
	b.Want(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Up, Times: 3})
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Equal(t, []string{"devices/7/temp", "devices/7/fan"}, seven)
}

func workers(ctx context.Context, client *mqtt.Client, work func(context.Context, *mqtt.Message) error) error {
	// <workers>
	sub, err := client.Subscribe(ctx, "jobs/#", mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	jobs := sub.Stream(ctx)
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for job := range jobs {
				if err := work(ctx, job); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
	// </workers>
}

func TestWorkers(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var working sync.WaitGroup
	working.Add(4)
	go func() {
		ended <- workers(ctx, client, func(context.Context, *mqtt.Message) error {
			working.Done()
			working.Wait() // all four are at work at once
			return nil
		})
	}()
	b.WantSubscribed("jobs/#")
	for range 4 {
		b.Publish(&wire.Publish{Topic: "jobs/1", QoS: wire.AtLeastOnce})
	}
	working.Wait()
	stop()
	require.NoError(t, <-ended)
}

func inOrder(ctx context.Context, client *mqtt.Client) error {
	// <publish-order>
	var last *mqtt.Delivery
	for _, payload := range []string{"open", "write", "close"} {
		var err error
		last, err = client.PublishAsync(ctx, &mqtt.Message{
			Topic: "files/7", Payload: []byte(payload), QoS: mqtt.AtLeastOnce,
		})
		if err != nil {
			return err
		}
	}
	_, err := last.Wait(ctx)
	// </publish-order>
	return err
}

func TestInOrder(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	b.CutAt(mqtttest.Match{Type: wire.TypePublish, If: func(p wire.Packet) bool { return string(p.(*wire.Publish).Payload) == "write" }}, -1)
	require.NoError(t, inOrder(t.Context(), client))
	b.WantPublished("files/7", "open", "write", "close")
}

func own(ctx context.Context, client *mqtt.Client) (*mqtt.Subscription, error) {
	// <own>
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters:       []mqtt.Filter{{Filter: "reports/#", QoS: mqtt.AtLeastOnce}},
		OwnConnection: true, // a report takes minutes; nobody else waits for it
	})
	// </own>
	return sub, err
}

func TestOwn(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	_, err = own(t.Context(), client)
	require.NoError(t, err)
	require.EqualValues(t, 2, b.Stats().Connected)
}
