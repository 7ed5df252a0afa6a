package migration_test

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store/bolt"
	"github.com/seed65a45251/mqtt/wire"
)

// tcp is the URL of the broker as paho.mqtt.golang wants it.
func tcp(b *mqtttest.Broker) string { return strings.Replace(b.URL(), "mqtt://", "tcp://", 1) }

// Both services subscribe, get a job, and have a will.
func TestPahoService(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		b := newBroker(t)
		jobs := make(chan string, 1)
		client, err := pahoService(tcp(b), func(_ paho.Client, msg paho.Message) { jobs <- string(msg.Payload()) })
		require.NoError(t, err)
		b.WantSubscribed("jobs/+")
		b.Publish(&wire.Publish{Topic: "jobs/1", Payload: []byte("dig"), QoS: wire.AtLeastOnce})
		require.Equal(t, "dig", <-jobs)
		require.NoError(t, pahoPublish(client, []byte("hole")))
		b.WantPublished("results/7", "hole")
		pahoEnd(client)
		b.WantDisconnected("worker-7")
	})
	t.Run("after", func(t *testing.T) {
		b := newBroker(t)
		ctx, stop := context.WithCancel(t.Context())
		jobs, ended := make(chan string, 1), make(chan error, 1)
		go func() {
			ended <- service(ctx, b.URL(), func(_ context.Context, msg *mqtt.Message) error {
				jobs <- string(msg.Payload)
				return nil
			})
		}()
		b.WantSubscribed("jobs/+")
		b.Publish(&wire.Publish{Topic: "jobs/1", Payload: []byte("dig"), QoS: wire.AtLeastOnce})
		require.Equal(t, "dig", <-jobs)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)

		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{})
		require.NoError(t, err)
		require.NoError(t, publish(t.Context(), client, []byte("hole")))
		b.WantPublished("results/7", "hole")
		require.NoError(t, end(t.Context(), client))
	})
}

// Both acknowledge what is saved.
func TestPahoManualAck(t *testing.T) {
	saved := make(chan string, 2)
	save := func(payload []byte) error {
		saved <- string(payload)
		return nil
	}
	reading := &wire.Publish{Topic: "readings/1", Payload: []byte("21"), QoS: wire.AtLeastOnce}
	acknowledged := mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Up}
	t.Run("before", func(t *testing.T) {
		b := newBroker(t)
		client := pahoManualAck(tcp(b), save)
		token := client.Connect()
		token.Wait()
		require.NoError(t, token.Error())
		defer client.Disconnect(250)
		b.WantSubscribed("readings/#")
		b.Publish(reading)
		b.Want(acknowledged)
	})
	t.Run("after", func(t *testing.T) {
		b := newBroker(t)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- ingest(ctx, b.URL(), save) }()
		b.WantSubscribed("readings/#")
		b.Publish(reading)
		b.Want(acknowledged)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	require.Equal(t, []string{"21", "21"}, []string{<-saved, <-saved})
}

// Both connect with a store on the disk.
func TestPahoStore(t *testing.T) {
	b := newBroker(t)
	before := pahoStore(tcp(b), t.TempDir())
	token := before.Connect()
	token.Wait()
	require.NoError(t, token.Error())
	before.Disconnect(250)

	file, err := bolt.Open(filepath.Join(t.TempDir(), "meter.db"), bolt.Config{})
	require.NoError(t, err)
	defer file.Close()
	after, err := stored(b.URL(), file)
	require.NoError(t, err)
	require.NoError(t, after.WaitConnected(t.Context()))
	require.NoError(t, after.Close())
}

// Both ask for credentials with each attempt.
func TestPahoCredentials(t *testing.T) {
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{
		Authenticators: []broker.Authenticator{broker.AuthenticatorFunc(func(_ context.Context, l *broker.Login) broker.Decision {
			if l.Username == "device" && string(l.Password) == "fresh" {
				return broker.Allow()
			}
			return broker.Deny(wire.NotAuthorized, "")
		})},
	}})
	token := func() string { return "fresh" }
	certificate := func() tls.Certificate { return tls.Certificate{} }
	before := pahoCredentials(tcp(b), token, certificate)
	connected := before.Connect()
	connected.Wait()
	require.NoError(t, connected.Error())
	before.Disconnect(250)
	after, err := credentials(b.URL(), token, certificate)
	require.NoError(t, err)
	require.NoError(t, after.WaitConnected(t.Context()))
	require.NoError(t, after.Close())
}
