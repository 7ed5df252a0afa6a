package mqtt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// mosquittoAway are configurations whose session outlives a connection.
func mosquittoAway() map[string]mqtt.Config {
	return map[string]mqtt.Config{
		"5.0 by default": {Version: mqtt.V5, Reconnect: mosquittoEager},
		"5.0":            mosquittoKeeping(mqtt.V5, "away"),
		"3.1.1":          mosquittoKeeping(mqtt.V311, "away"),
		"3.1":            mosquittoKeeping(mqtt.V31, "away"),
		"auto":           mosquittoKeeping(mqtt.Auto, "away"),
	}
}

func TestMosquittoQueuesForAClientThatIsAway(t *testing.T) {
	for name, cfg := range mosquittoAway() {
		t.Run(name, func(t *testing.T) {
			server := mosquittoStart(t, mosquitto.Options{})
			proxy := faultproxy.New(t, server.Addr())
			client := mosquittoConnect(t, proxy.URL(), cfg)
			events := client.Watch(mosquittoContext(t))
			sub := mosquittoSubscribe(t, client, "queued", mqtt.ExactlyOnce)
			other := mosquittoConnect(t, server.URL(), mqtt.Config{})

			proxy.Refuse(true)
			proxy.Drop()
			var want []string
			for i := range 50 {
				want = append(want, fmt.Sprint(i))
				mosquittoPublish(t, other, "queued", fmt.Sprint(i), mqtt.QoS(1+i%2))
			}
			mosquittoAwait(t, events, "without a connection", func(e mqtt.Event) bool { return e.State == mqtt.Reconnecting })
			proxy.Refuse(false)
			mosquittoAwaitSession(t, events, mqtt.SessionResumed)
			require.True(t, client.ServerInfo().SessionPresent)
			mosquittoWant(t, sub, want...)
			mosquittoPublish(t, client, "queued", "end", mqtt.ExactlyOnce)
			mosquittoWant(t, sub, "end")
			require.EqualValues(t, 51, client.Stats().Received)
		})
	}
}

func TestMosquittoQueuesForTheNextProcess(t *testing.T) {
	for _, v := range mosquittoVersions {
		t.Run(v.name, func(t *testing.T) {
			server := mosquittoStart(t, mosquitto.Options{})
			ctx := mosquittoContext(t)
			cfg := mosquittoKeeping(v.version, "worker")
			first := mosquittoConnect(t, server.URL(), cfg)
			require.False(t, first.ServerInfo().SessionPresent && v.version != mqtt.V31)
			mosquittoSubscribe(t, first, "jobs/+", mqtt.ExactlyOnce)
			mosquittoSubscribe(t, first, "old", mqtt.ExactlyOnce)
			require.NoError(t, first.Disconnect(ctx))

			other := mosquittoConnect(t, server.URL(), mqtt.Config{})
			for i := range 5 {
				mosquittoPublish(t, other, "jobs/x", fmt.Sprint(i), mqtt.ExactlyOnce)
				mosquittoPublish(t, other, "old", fmt.Sprint(i), mqtt.AtLeastOnce)
			}

			// What comes before anybody wants it waits for whoever does.
			second := mosquittoConnect(t, server.URL(), cfg)
			require.True(t, second.ServerInfo().SessionPresent)
			sub := mosquittoSubscribe(t, second, "jobs/+", mqtt.ExactlyOnce)
			mosquittoWant(t, sub, "0", "1", "2", "3", "4")
			old, err := second.Route("old")
			require.NoError(t, err)
			mosquittoWant(t, old, "0", "1", "2", "3", "4")

			// The subscription of the first process still works, until it is ended.
			mosquittoPublish(t, other, "old", "live", mqtt.ExactlyOnce)
			mosquittoWant(t, old, "live")
			require.NoError(t, old.Unsubscribe(ctx))
			require.NoError(t, second.Unsubscribe(ctx, "old"))
			before := second.Stats().Received
			mosquittoPublish(t, other, "old", "late", mqtt.ExactlyOnce)
			mosquittoPublish(t, other, "jobs/x", "end", mqtt.ExactlyOnce)
			mosquittoWant(t, sub, "end")
			require.Equal(t, before+1, second.Stats().Received)
		})
	}
}

func TestMosquittoKeepsNothingOfAClientThatDidNotAsk(t *testing.T) {
	server := mosquittoStart(t, mosquitto.Options{})
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		id := fmt.Sprintf("gone-%v", v)
		first := mosquittoConnect(t, server.URL(), mqtt.Config{Version: v, ClientID: id})
		mosquittoSubscribe(t, first, "x", mqtt.AtLeastOnce)
		require.NoError(t, first.Close())
		second := mosquittoConnect(t, server.URL(), mosquittoKeeping(v, id))
		require.False(t, second.ServerInfo().SessionPresent)
	}
}

func TestMosquittoThatLostTheSessionIsSubscribedAgain(t *testing.T) {
	// 3.1 has no way to say that a session is lost.
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5, mqtt.Auto} {
		for _, resume := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, resume %t", v, resume), func(t *testing.T) {
				server := mosquittoStart(t, mosquitto.Options{})
				ctx := mosquittoContext(t)
				client := mosquittoConnect(t, server.URL(), mqtt.Config{
					Version: v, ClientID: "client", Resume: resume, Reconnect: mosquittoEager,
				})
				events := client.Watch(ctx)
				a := mosquittoSubscribe(t, client, "lost/a", mqtt.ExactlyOnce)
				b := mosquittoSubscribe(t, client, "lost/+", mqtt.AtLeastOnce)
				mosquittoPublish(t, client, "lost/b", "before", mqtt.AtLeastOnce)
				mosquittoWant(t, b, "before")

				server.Kill()
				mosquittoAwait(t, events, "without a connection", func(e mqtt.Event) bool { return e.State == mqtt.Reconnecting })
				var sent []*mqtt.Delivery
				for i := range 20 {
					d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "lost/a", Payload: fmt.Append(nil, i), QoS: mqtt.ExactlyOnce})
					require.NoError(t, err)
					sent = append(sent, d)
				}
				server.Restart()
				mosquittoAwaitSession(t, events, mqtt.SessionLost)
				for _, d := range sent {
					_, err := d.Wait(ctx)
					require.NoError(t, err)
				}
				for i := range 20 {
					mosquittoWant(t, a, fmt.Sprint(i))
				}
				mosquittoPublish(t, client, "lost/b", "after", mqtt.ExactlyOnce)
				for i := range 20 {
					mosquittoWant(t, b, fmt.Sprint(i))
				}
				mosquittoWant(t, b, "after")
			})
		}
	}
}

// Mosquitto 2.0.11 closes the old connection without saying why, in any version,
// so nothing tells the client that it should not come back. The policies of the
// two end it.
func TestMosquittoTakeoversGoOnNoLongerThanThePolicyAllows(t *testing.T) {
	server := mosquittoStart(t, mosquitto.Options{})
	mosquittoEach(t, func(t *testing.T, v mqtt.Version) {
		ctx := mosquittoContext(t)
		const attempts = 5
		policy := mosquittoEager
		policy.MaxAttempts = attempts
		policy.HealthyAfter = time.Hour
		cfg := mqtt.Config{Version: v, ClientID: "same", Reconnect: policy}
		first := mosquittoConnect(t, server.URL(), cfg)
		second := mosquittoConnect(t, server.URL(), cfg)
		gone, stays := first, second
		select {
		case <-first.Done():
		case <-second.Done():
			gone, stays = second, first
		case <-ctx.Done():
			t.Fatal("the two still fight")
		}
		require.ErrorIs(t, gone.Err(), mqtt.ErrRetriesExhausted)
		require.EqualValues(t, 1+attempts, gone.Stats().Connections)
		err := gone.Publish(ctx, "x", nil, mqtt.AtLeastOnce)
		require.ErrorIs(t, err, mqtt.ErrRetriesExhausted)
		require.True(t, mqtt.NotSent(err))

		mosquittoPublish(t, stays, "x", "", mqtt.ExactlyOnce)
		require.Equal(t, mqtt.Connected, stays.State())
		require.NoError(t, stays.Close())
	})
}
