package mosquittotest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/wire"
)

// payloadsOf are an empty payload, a short one, every byte, and 1 MiB.
func payloadsOf() map[string][]byte {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	large := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(large)
	return map[string][]byte{"empty": {}, "short": []byte("21.5"), "every byte": every, "1 MiB": large}
}

func TestMosquittoDeliversPayloadsAtEveryQoSAndVersion(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			ctx := testContext(t)
			client := connectTo(t, server.URL(), mqtt.Config{Version: v.version})
			require.Equal(t, v.spoken, client.ServerInfo().Version)
			require.NoError(t, client.ServerInfo().Fallback)
			for _, qos := range everyQoS {
				topic := fmt.Sprintf("deliver/%d", qos)
				sub := subscribeTo(t, client, topic, qos)
				require.Equal(t, []mqtt.ReasonCode{mqtt.ReasonCode(qos)}, sub.Granted())
				for name, payload := range payloadsOf() {
					require.NoError(t, client.Publish(ctx, topic, payload, qos))
					m := receive(t, sub)
					require.Truef(t, bytes.Equal(payload, m.Payload), "%s at QoS %d: got %d other bytes", name, qos, len(m.Payload))
					require.Equal(t, topic, m.Topic)
					require.Equal(t, qos, m.QoS)
					require.False(t, m.Retain)
					require.False(t, m.Duplicate)
				}
				require.NoError(t, sub.Unsubscribe(ctx))
			}
		})
	}
}

func TestMosquittoDeliversWhatEachWayOfPublishingSends(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		ctx := testContext(t)
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		sub := subscribeTo(t, client, "ways", mqtt.ExactlyOnce)
		for _, qos := range everyQoS {
			require.NoError(t, client.Publish(ctx, "ways", []byte("a"), qos))
			require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: "ways", Payload: []byte("b"), QoS: qos}))
			d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "ways", Payload: []byte("c"), QoS: qos})
			require.NoError(t, err)
			ack, err := d.Wait(ctx)
			require.NoError(t, err)
			require.Equal(t, mqtt.Success, ack.ReasonCode)
			wantPayloads(t, sub, "a", "b", "c")
		}
	})
}

func TestMosquittoDeliversAtTheLowerOfBothQoS(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		for _, granted := range everyQoS {
			sub := subscribeTo(t, client, fmt.Sprintf("lower/%d", granted), granted)
			for _, sent := range everyQoS {
				publish(t, client, fmt.Sprintf("lower/%d", granted), "x", sent)
				require.Equal(t, min(granted, sent), receive(t, sub).QoS)
			}
		}
	})
}

// Of QoS 2 Mosquitto does not say it: it looks for subscribers after PUBREC.
func TestMosquittoTellsThatNobodySubscribed(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "nobody", QoS: mqtt.AtLeastOnce})
	require.NoError(t, err)
	ack, err := d.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, mqtt.NoMatchingSubscribers, ack.ReasonCode)
}

// fullMessage has every property a message can have.
func fullMessage(topic string, qos mqtt.QoS) *mqtt.Message {
	return &mqtt.Message{
		Topic: topic, Payload: []byte("čau"), QoS: qos,
		PayloadFormatUTF8:     true,
		MessageExpiryInterval: new(time.Hour),
		ContentType:           "text/plain; charset=utf-8",
		ResponseTopic:         "answers/42",
		CorrelationData:       []byte{0, 1, 2, 255},
		UserProperties: []mqtt.UserProperty{
			{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}, {Name: "b", Value: "1"}, {Name: "", Value: ""},
		},
	}
}

func TestMosquittoPassesPropertiesOn(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	old := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V311})
	sub := subscribeTo(t, client, "properties", mqtt.ExactlyOnce)
	oldSub := subscribeTo(t, old, "properties", mqtt.ExactlyOnce)
	for _, qos := range everyQoS {
		sent := fullMessage("properties", qos)
		require.NoError(t, client.PublishMessage(ctx, sent))

		m := receive(t, sub)
		require.Equal(t, sent.Payload, m.Payload)
		require.Equal(t, sent.PayloadFormatUTF8, m.PayloadFormatUTF8)
		require.Equal(t, sent.ContentType, m.ContentType)
		require.Equal(t, sent.ResponseTopic, m.ResponseTopic)
		require.Equal(t, sent.CorrelationData, m.CorrelationData)
		require.Equal(t, sent.UserProperties, m.UserProperties)
		require.Len(t, m.SubscriptionIDs, 1)
		require.NotNil(t, m.MessageExpiryInterval)
		require.Positive(t, *m.MessageExpiryInterval)
		require.LessOrEqual(t, *m.MessageExpiryInterval, time.Hour)

		m = receive(t, oldSub)
		require.Equal(t, sent.Payload, m.Payload)
		require.Nil(t, m.MessageExpiryInterval)
		require.Nil(t, m.UserProperties)
	}
}

func TestMosquittoForwardsAReceivedMessageAsItIs(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	in, out := subscribeTo(t, client, "in", mqtt.ExactlyOnce), subscribeTo(t, client, "out", mqtt.ExactlyOnce)
	sent := fullMessage("in", mqtt.ExactlyOnce)
	require.NoError(t, client.PublishMessage(ctx, sent))
	m := receive(t, in)
	m.Topic = "out"
	require.NoError(t, client.PublishMessage(ctx, m))
	again := receive(t, out)
	require.Equal(t, sent.UserProperties, again.UserProperties)
	require.Equal(t, sent.CorrelationData, again.CorrelationData)
	require.Equal(t, sent.Payload, again.Payload)
}

func TestMosquittoGetsNoPropertiesFromOlderVersions(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311} {
		ctx := testContext(t)
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		err := client.PublishMessage(ctx, fullMessage("properties", mqtt.AtLeastOnce))
		require.ErrorAs(t, err, new(*wire.FieldError))
		require.True(t, mqtt.NotSent(err))
		_, err = client.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "x", NoLocal: true}}})
		require.ErrorAs(t, err, new(*wire.FieldError))
		require.True(t, mqtt.NotSent(err))
		// Neither has cost the connection.
		publish(t, client, "x", "", mqtt.ExactlyOnce)
		require.EqualValues(t, 1, client.Stats().Connections)
	}
}

func TestMosquittoOverAUnixSocket(t *testing.T) {
	server := startServer(t, mosquitto.Options{Unix: true})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, server.UnixURL(), mqtt.Config{Version: v})
		sub := subscribeTo(t, client, "unix", mqtt.ExactlyOnce)
		publish(t, client, "unix", "x", mqtt.ExactlyOnce)
		wantPayloads(t, sub, "x")
		require.NoError(t, client.Disconnect(testContext(t)))
		require.ErrorIs(t, client.Err(), mqtt.ErrClosed)
	})
}

func TestMosquittoThatIsNotThereIsAnError(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	server.Stop()
	_, err := mqtt.Connect(testContext(t), server.URL(), mqtt.Config{})
	require.ErrorContains(t, err, server.Addr())
	require.False(t, errors.Is(err, mqtt.ErrInvalid))

	// With RetryFirst the client waits for it.
	connected := make(chan error, 1)
	tried := make(chan struct{}, 1)
	cfg := mqtt.Config{RetryFirst: true, Reconnect: eager, Permanent: func(error) bool {
		select {
		case tried <- struct{}{}:
		default:
		}
		return false
	}}
	go func() {
		client, err := mqtt.Connect(testContext(t), server.URL(), cfg)
		if err == nil {
			client.Close()
		}
		connected <- err
	}()
	<-tried
	server.Restart()
	require.NoError(t, <-connected)
}
