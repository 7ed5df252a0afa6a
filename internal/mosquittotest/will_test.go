package mosquittotest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func willOf(topic string, delay time.Duration) *mqtt.Will {
	return &mqtt.Will{
		Message:       mqtt.Message{Topic: topic, Payload: []byte("gone"), QoS: mqtt.AtLeastOnce},
		DelayInterval: delay,
	}
}

func TestMosquittoPublishesTheWillOfALostClient(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		server := startServer(t, mosquitto.Options{})
		proxy := faultproxy.New(t, server.Addr())
		watcher := connectTo(t, server.URL(), mqtt.Config{Version: v})
		sub := subscribeTo(t, watcher, "will", mqtt.AtLeastOnce)
		will := willOf("will", 0)
		if v == mqtt.V5 {
			will.ContentType = "text/plain"
			will.UserProperties = []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}
		}
		client := connectTo(t, proxy.URL(), mqtt.Config{Version: v, Will: will, Reconnect: eager})
		events := client.Watch(testContext(t))
		for range 3 { // it is there again with every connection
			// A client that is back before the server has noticed the loss takes over its own
			// session, and Mosquitto publishes no will.
			proxy.Refuse(true)
			proxy.Drop()
			m := receive(t, sub)
			proxy.Refuse(false)
			require.Equal(t, "gone", string(m.Payload))
			require.Equal(t, will.ContentType, m.ContentType)
			require.Equal(t, will.UserProperties, m.UserProperties)
			await(t, events, "connected again", func(e mqtt.Event) bool { return e.State == mqtt.Connected })
		}
	})
}

func TestMosquittoPublishesNoWillAfterAGoodbye(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		ctx := testContext(t)
		watcher := connectTo(t, server.URL(), mqtt.Config{Version: v})
		sub := subscribeTo(t, watcher, "will", mqtt.AtLeastOnce)
		for name, leave := range map[string]func(*mqtt.Client) error{
			"closed":       (*mqtt.Client).Close,
			"disconnected": func(c *mqtt.Client) error { return c.Disconnect(ctx) },
		} {
			client := connectTo(t, server.URL(), mqtt.Config{Version: v, Will: willOf("will", 0)})
			require.NoError(t, leave(client))
			publish(t, watcher, "will", name, mqtt.AtLeastOnce)
			wantPayloads(t, sub, name)
		}
	})
}

// Before 5.0 there is no DISCONNECT with a reason; the client then says none.
func TestMosquittoPublishesTheWillOfADisconnectWithWill(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		ctx := testContext(t)
		watcher := connectTo(t, server.URL(), mqtt.Config{Version: v})
		sub := subscribeTo(t, watcher, "will", mqtt.AtLeastOnce)
		client := connectTo(t, server.URL(), mqtt.Config{Version: v, Will: willOf("will", 0)})
		require.NoError(t, client.Disconnect(ctx, mqtt.DisconnectWithWill))
		wantPayloads(t, sub, "gone")
	})
}

func TestMosquittoDropsADelayedWillWhenTheClientIsBackInTime(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	sub := subscribeTo(t, connectTo(t, server.URL(), mqtt.Config{}), "will/+", mqtt.AtLeastOnce)
	const delay = 5 * time.Second
	connect := func(name string) (*faultproxy.Proxy, *mqtt.Client) {
		proxy := faultproxy.New(t, server.Addr())
		return proxy, connectTo(t, proxy.URL(), mqtt.Config{
			Version: mqtt.V5, Will: willOf("will/"+name, delay), Reconnect: eager,
		})
	}
	backLine, back := connect("back")
	goneLine, _ := connect("gone")
	events := back.Watch(ctx)
	backLine.Drop()
	awaitSession(t, events, mqtt.SessionResumed)

	// The will of another client, lost later, is the clock: when it comes, the
	// one that must not come is overdue.
	goneLine.Refuse(true)
	goneLine.Drop()
	require.Equal(t, "will/gone", receive(t, sub).Topic)
	require.EqualValues(t, 2, back.Stats().Connections)
}
