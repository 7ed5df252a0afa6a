package migration_test

import (
	"context"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func address(t *testing.T, b *mqtttest.Broker) *url.URL {
	u, err := url.Parse(b.URL())
	require.NoError(t, err)
	return u
}

func TestAutopahoService(t *testing.T) {
	job := &wire.Publish{Topic: "jobs/1", Payload: []byte("dig"), QoS: wire.AtLeastOnce}
	t.Run("before", func(t *testing.T) {
		b := newBroker(t)
		jobs := make(chan string, 1)
		cm, err := autopahoService(t.Context(), address(t, b), func(m *paho.Publish) { jobs <- string(m.Payload) })
		require.NoError(t, err)
		b.WantSubscribed("jobs/+")
		b.Publish(job)
		require.Equal(t, "dig", <-jobs)
		require.NoError(t, autopahoPublish(t.Context(), cm, []byte("hole")))
		b.WantPublished("results/7", "hole")
		require.NoError(t, autopahoEnd(t.Context(), cm))
	})
	t.Run("after", func(t *testing.T) {
		b := newBroker(t)
		ctx, stop := context.WithCancel(t.Context())
		jobs, ended := make(chan string, 1), make(chan error, 1)
		go func() {
			ended <- work(ctx, b.URL(), func(_ context.Context, msg *mqtt.Message) error {
				jobs <- string(msg.Payload)
				return nil
			})
		}()
		b.WantSubscribed("jobs/+")
		b.Publish(job)
		require.Equal(t, "dig", <-jobs)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)

		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{})
		require.NoError(t, err)
		require.NoError(t, publishText(t.Context(), client, []byte("hole")))
		require.Equal(t, "text/plain", b.WantPublished("results/7", "hole")[0].Properties.ContentType)
		require.NoError(t, end(t.Context(), client))
	})
}

func TestAutopahoQueue(t *testing.T) {
	b := newBroker(t)
	cm, err := autopahoQueue(t.Context(), address(t, b), t.TempDir(), []byte("before"))
	require.NoError(t, err)
	b.WantPublished("meters/12", "before")
	require.NoError(t, autopahoEnd(t.Context(), cm))

	client, file, err := queue(t.Context(), b.URL(), filepath.Join(t.TempDir(), "meter.db"), []byte("after"))
	require.NoError(t, err)
	defer file.Close()
	b.WantPublished("meters/12", "after")
	require.NoError(t, end(t.Context(), client))
}

func TestAutopahoRequest(t *testing.T) {
	b := newBroker(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	responder, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{})
	require.NoError(t, err)
	defer responder.Close()
	go responder.Respond(ctx, "time/now", func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
		return &mqtt.Message{Payload: []byte("noon in " + string(m.Payload))}, nil
	})
	b.WantSubscribed("time/now")

	router := paho.NewStandardRouter()
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{address(t, b)},
		ClientConfig: paho.ClientConfig{
			ClientID: "asker",
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
				router.Route(m.Packet.Packet())
				return true, nil
			}},
		},
	})
	require.NoError(t, err)
	require.NoError(t, cm.AwaitConnection(ctx))
	// The rpc extension drops a response that is faster than its own goroutine, so that
	// only the request is certain.
	asking, giveUp := context.WithCancel(ctx)
	asked := make(chan bool)
	go func() {
		autopahoRequest(asking, cm, router)
		close(asked)
	}()
	b.WantPublished("time/now", "Berlin")
	giveUp()
	<-asked
	require.NoError(t, autopahoEnd(ctx, cm))

	client, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{})
	require.NoError(t, err)
	defer client.Close()
	answer, err := request(ctx, client)
	require.NoError(t, err)
	require.Equal(t, "noon in Berlin", answer)
}

func TestAutopahoCredentials(t *testing.T) {
	b := newBroker(t)
	cm, err := autopahoCredentials(t.Context(), address(t, b), func() []byte { return []byte("fresh") })
	require.NoError(t, err)
	require.NoError(t, cm.AwaitConnection(t.Context()))
	require.NoError(t, autopahoEnd(t.Context(), cm))
}
