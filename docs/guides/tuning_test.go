package guides_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func publishInParallel(ctx context.Context, client *mqtt.Client, readings [][]byte) error {
	// <parallel>
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(64) // as many round trips at once
	for _, reading := range readings {
		g.Go(func() error {
			return client.Publish(ctx, "sensors/7/temp", reading, mqtt.AtLeastOnce)
		})
	}
	return g.Wait()
	// </parallel>
}

func TestPublishInParallel(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, publishInParallel(t.Context(), client, make([][]byte, 100)))
	b.Want(mqtttest.Match{Type: wire.TypePuback, Times: 100})
}

func sum(ctx context.Context, client *mqtt.Client) (total int, err error) {
	// <lend>
	o := mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "images/#", QoS: mqtt.AtLeastOnce}},
		Lend:    true, // msg is gone when the function returns; msg.Clone keeps a copy
	}
	err = client.Handle(ctx, o, func(ctx context.Context, msg *mqtt.Message) error {
		total += len(msg.Payload)
		return nil
	})
	// </lend>
	return total, err
}

func TestSum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial})
		require.NoError(t, err)
		defer client.Close()
		ctx, stop := context.WithCancel(t.Context())
		var total int
		done := make(chan bool)
		go func() {
			total, _ = sum(ctx, client)
			close(done)
		}()
		b.WantSubscribed("images/#")
		b.Publish(&wire.Publish{Topic: "images/1", Payload: make([]byte, 1000), QoS: wire.AtLeastOnce})
		b.Publish(&wire.Publish{Topic: "images/2", Payload: make([]byte, 500), QoS: wire.AtLeastOnce})
		b.Want(mqtttest.Match{Type: wire.TypePuback, Times: 2, Direction: mqtttest.Up})
		stop()
		<-done
		require.Equal(t, 1500, total)
	})
}

func telemetry() mqtt.Config {
	// <latest>
	cfg := mqtt.Config{
		QueueMessages: 1000,
		QueueBytes:    1 << 20,
		WhenFull:      mqtt.WhenFull{AtMostOnce: mqtt.FullKeepLatest, Acknowledged: mqtt.FullFail},
		Undelivered: func(u mqtt.Undelivered) {
			fmt.Printf("%s was not delivered: %v\n", u.Message.Topic, u.Err)
		},
	}
	// </latest>
	return cfg
}

func TestTelemetryKeepsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.Stop()
		cfg := telemetry()
		cfg.Dial, cfg.QueueMessages = b.Dial, 2
		client, err := mqtt.Start(b.URL(), cfg)
		require.NoError(t, err)
		defer client.Close()
		for _, payload := range []string{"1", "2", "3"} {
			_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte(payload)})
			require.NoError(t, err)
		}
		b.Start()
		b.WantPublished("t", "3")
		require.NotZero(t, client.Stats().Failed.Superseded)
	})
}

func mobile() mqtt.Config {
	// <mobile>
	cfg := mqtt.Config{
		ClientID:         "truck-12",
		KeepAlive:        4 * time.Minute,  // below what the carrier's NAT remembers
		ConnectTimeout:   45 * time.Second, // TLS over a slow line
		WriteTimeout:     45 * time.Second,
		Inflight:         16, // what is in flight is sent again after a loss
		SessionExpiry:    24 * time.Hour,
		Resume:           true, // the session outlives the process, too
		SendTopicAliases: 32,   // topics cost two bytes each when they come again
		Reconnect:        reconnect.Policy{Min: time.Second, Max: 2 * time.Minute},
	}
	// </mobile>
	return cfg
}

func TestMobile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		cfg := mobile()
		cfg.Dial = b.Dial
		client, err := mqtt.Connect(t.Context(), b.URL(), cfg)
		require.NoError(t, err)
		defer client.Close()
		b.Throttle(200) // bytes a second
		b.Delay(2 * time.Second)
		for i := range 3 {
			require.NoError(t, client.Publish(t.Context(), "trucks/12/position", []byte{byte(i)}, mqtt.ExactlyOnce))
			b.Drop()
		}
		b.WantPublished("trucks/12/position", "\x00", "\x01", "\x02")
	})
}

func newNetwork(ctx context.Context, client *mqtt.Client) error {
	// <new-network>
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := client.Reconnect(ctx) // the system says that there is a network again
	// </new-network>
	return err
}

func TestNewNetwork(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, newNetwork(t.Context(), client))
	require.EqualValues(t, 2, client.Stats().Connections)
}

func throughProxy(ctx context.Context) (*mqtt.Client, error) {
	// <proxy>
	client, err := mqtt.Connect(ctx, "wss://mqtt.example.com/mqtt", mqtt.Config{
		Proxy: mqtt.ProxyFromEnvironment, // or "http://user:password@proxy:3128", "socks5://proxy:1080"
	})
	// </proxy>
	return client, err
}

func TestThroughProxy(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := throughProxy(ctx)
	require.ErrorIs(t, err, context.Canceled) // the Config is accepted
}

func keepWarm(ctx context.Context, client *mqtt.Client) {
	// <watch>
	for event := range client.Watch(ctx) {
		switch {
		case event.Subscription != nil: // a consumer is too slow, or holds a message
			fmt.Println("consumer:", event.Err)
		case event.Err != nil:
			fmt.Println("connection:", event.State, event.Err)
		}
	}
	// </watch>
}

func TestKeepWarm(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := newBroker(t)
	client, err := connect(ctx, b.URL())
	require.NoError(t, err)
	defer client.Close()
	done := make(chan bool)
	go func() {
		keepWarm(ctx, client)
		close(done)
	}()
	runtime.Gosched()
	cancel()
	<-done
}
