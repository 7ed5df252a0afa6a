package mqtt_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func mosquittoWill(topic string, delay time.Duration) *mqtt.Will {
	return &mqtt.Will{
		Message:       mqtt.Message{Topic: topic, Payload: []byte("gone"), QoS: mqtt.AtLeastOnce},
		DelayInterval: delay,
	}
}

func TestMosquittoPublishesTheWillOfALostClient(t *testing.T) {
	mosquittoEach(t, func(t *testing.T, v mqtt.Version) {
		server := mosquittoStart(t, mosquitto.Options{})
		proxy := faultproxy.New(t, server.Addr())
		watcher := mosquittoConnect(t, server.URL(), mqtt.Config{Version: v})
		sub := mosquittoSubscribe(t, watcher, "will", mqtt.AtLeastOnce)
		will := mosquittoWill("will", 0)
		if v == mqtt.V5 {
			will.ContentType = "text/plain"
			will.UserProperties = []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}
		}
		client := mosquittoConnect(t, proxy.URL(), mqtt.Config{Version: v, Will: will, Reconnect: mosquittoEager})
		events := client.Watch(mosquittoContext(t))
		for range 3 { // it is there again with every connection
			proxy.Drop()
			m := mosquittoNext(t, sub)
			require.Equal(t, "gone", string(m.Payload))
			require.Equal(t, will.ContentType, m.ContentType)
			require.Equal(t, will.UserProperties, m.UserProperties)
			mosquittoAwait(t, events, "connected again", func(e mqtt.Event) bool { return e.State == mqtt.Connected })
		}
	})
}

func TestMosquittoPublishesNoWillAfterAGoodbye(t *testing.T) {
	server := mosquittoStart(t, mosquitto.Options{})
	mosquittoEach(t, func(t *testing.T, v mqtt.Version) {
		ctx := mosquittoContext(t)
		watcher := mosquittoConnect(t, server.URL(), mqtt.Config{Version: v})
		sub := mosquittoSubscribe(t, watcher, "will", mqtt.AtLeastOnce)
		for name, leave := range map[string]func(*mqtt.Client) error{
			"closed":       (*mqtt.Client).Close,
			"disconnected": func(c *mqtt.Client) error { return c.Disconnect(ctx) },
		} {
			client := mosquittoConnect(t, server.URL(), mqtt.Config{Version: v, Will: mosquittoWill("will", 0)})
			require.NoError(t, leave(client))
			mosquittoPublish(t, watcher, "will", name, mqtt.AtLeastOnce)
			mosquittoWant(t, sub, name)
		}
	})
}

// Before 5.0 there is no DISCONNECT with a reason; the client then says none.
func TestMosquittoPublishesTheWillOfADisconnectWithWill(t *testing.T) {
	server := mosquittoStart(t, mosquitto.Options{})
	mosquittoEach(t, func(t *testing.T, v mqtt.Version) {
		ctx := mosquittoContext(t)
		watcher := mosquittoConnect(t, server.URL(), mqtt.Config{Version: v})
		sub := mosquittoSubscribe(t, watcher, "will", mqtt.AtLeastOnce)
		client := mosquittoConnect(t, server.URL(), mqtt.Config{Version: v, Will: mosquittoWill("will", 0)})
		require.NoError(t, client.Disconnect(ctx, mqtt.DisconnectWithWill))
		mosquittoWant(t, sub, "gone")
	})
}

func TestMosquittoDropsADelayedWillWhenTheClientIsBackInTime(t *testing.T) {
	server := mosquittoStart(t, mosquitto.Options{})
	ctx := mosquittoContext(t)
	sub := mosquittoSubscribe(t, mosquittoConnect(t, server.URL(), mqtt.Config{}), "will/+", mqtt.AtLeastOnce)
	const delay = 5 * time.Second
	connect := func(name string) (*faultproxy.Proxy, *mqtt.Client) {
		proxy := faultproxy.New(t, server.Addr())
		return proxy, mosquittoConnect(t, proxy.URL(), mqtt.Config{
			Version: mqtt.V5, Will: mosquittoWill("will/"+name, delay), Reconnect: mosquittoEager,
		})
	}
	backLine, back := connect("back")
	goneLine, _ := connect("gone")
	events := back.Watch(ctx)
	backLine.Drop()
	mosquittoAwaitSession(t, events, mqtt.SessionResumed)

	// The will of another client, lost later, is the clock: when it comes, the
	// one that must not come is overdue.
	goneLine.Refuse(true)
	goneLine.Drop()
	require.Equal(t, "will/gone", mosquittoNext(t, sub).Topic)
	require.EqualValues(t, 2, back.Stats().Connections)
}
