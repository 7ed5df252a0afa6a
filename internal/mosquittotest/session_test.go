package mosquittotest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// keptSessions are configurations whose session outlives a connection.
func keptSessions() map[string]mqtt.Config {
	return map[string]mqtt.Config{
		"5.0 by default": {Version: mqtt.V5, Reconnect: eager},
		"5.0":            keeping(mqtt.V5, "away"),
		"3.1.1":          keeping(mqtt.V311, "away"),
		"3.1":            keeping(mqtt.V31, "away"),
		"auto":           keeping(mqtt.Auto, "away"),
	}
}

func TestMosquittoQueuesForAClientThatIsAway(t *testing.T) {
	for name, cfg := range keptSessions() {
		t.Run(name, func(t *testing.T) {
			server := startServer(t, mosquitto.Options{})
			proxy := faultproxy.New(t, server.Addr())
			client := connectTo(t, proxy.URL(), cfg)
			events := client.Watch(testContext(t))
			sub := subscribeTo(t, client, "queued", mqtt.ExactlyOnce)
			other := connectTo(t, server.URL(), mqtt.Config{})

			proxy.Refuse(true)
			proxy.Drop()
			var want []string
			for i := range 50 {
				want = append(want, fmt.Sprint(i))
				publish(t, other, "queued", fmt.Sprint(i), mqtt.QoS(1+i%2))
			}
			await(t, events, "without a connection", func(e mqtt.Event) bool { return e.State == mqtt.Reconnecting })
			proxy.Refuse(false)
			awaitSession(t, events, mqtt.SessionResumed)
			require.True(t, client.ServerInfo().SessionPresent)
			wantPayloads(t, sub, want...)
			publish(t, client, "queued", "end", mqtt.ExactlyOnce)
			wantPayloads(t, sub, "end")
			require.EqualValues(t, 51, client.Stats().Received)
		})
	}
}

func TestMosquittoQueuesForTheNextProcess(t *testing.T) {
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			server := startServer(t, mosquitto.Options{})
			ctx := testContext(t)
			cfg := keeping(v.version, "worker")
			first := connectTo(t, server.URL(), cfg)
			require.False(t, first.ServerInfo().SessionPresent && v.version != mqtt.V31)
			subscribeTo(t, first, "jobs/+", mqtt.ExactlyOnce)
			subscribeTo(t, first, "old", mqtt.ExactlyOnce)
			require.NoError(t, first.Disconnect(ctx))

			other := connectTo(t, server.URL(), mqtt.Config{})
			for i := range 5 {
				publish(t, other, "jobs/x", fmt.Sprint(i), mqtt.ExactlyOnce)
				publish(t, other, "old", fmt.Sprint(i), mqtt.AtLeastOnce)
			}

			// What comes before anybody wants it waits for whoever does.
			second := connectTo(t, server.URL(), cfg)
			require.True(t, second.ServerInfo().SessionPresent)
			sub := subscribeTo(t, second, "jobs/+", mqtt.ExactlyOnce)
			wantPayloads(t, sub, "0", "1", "2", "3", "4")
			old, err := second.Route("old")
			require.NoError(t, err)
			wantPayloads(t, old, "0", "1", "2", "3", "4")

			// The subscription of the first process still works, until it is ended.
			publish(t, other, "old", "live", mqtt.ExactlyOnce)
			wantPayloads(t, old, "live")
			require.NoError(t, old.Unsubscribe(ctx))
			require.NoError(t, second.Unsubscribe(ctx, "old"))
			before := second.Stats().Received
			publish(t, other, "old", "late", mqtt.ExactlyOnce)
			publish(t, other, "jobs/x", "end", mqtt.ExactlyOnce)
			wantPayloads(t, sub, "end")
			require.Equal(t, before+1, second.Stats().Received)
		})
	}
}

func TestMosquittoKeepsNothingOfAClientThatDidNotAsk(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		id := fmt.Sprintf("gone-%v", v)
		first := connectTo(t, server.URL(), mqtt.Config{Version: v, ClientID: id})
		subscribeTo(t, first, "x", mqtt.AtLeastOnce)
		require.NoError(t, first.Close())
		second := connectTo(t, server.URL(), keeping(v, id))
		require.False(t, second.ServerInfo().SessionPresent)
	}
}

func TestMosquittoThatLostTheSessionIsSubscribedAgain(t *testing.T) {
	// 3.1 has no way to say that a session is lost.
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5, mqtt.Auto} {
		for _, resume := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, resume %t", v, resume), func(t *testing.T) {
				server := startServer(t, mosquitto.Options{})
				ctx := testContext(t)
				client := connectTo(t, server.URL(), mqtt.Config{
					Version: v, ClientID: "client", Resume: resume, Reconnect: eager,
				})
				events := client.Watch(ctx)
				a := subscribeTo(t, client, "lost/a", mqtt.ExactlyOnce)
				b := subscribeTo(t, client, "lost/+", mqtt.AtLeastOnce)
				publish(t, client, "lost/b", "before", mqtt.AtLeastOnce)
				wantPayloads(t, b, "before")

				server.Kill()
				await(t, events, "without a connection", func(e mqtt.Event) bool { return e.State == mqtt.Reconnecting })
				var sent []*mqtt.Delivery
				for i := range 20 {
					d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "lost/a", Payload: fmt.Append(nil, i), QoS: mqtt.ExactlyOnce})
					require.NoError(t, err)
					sent = append(sent, d)
				}
				server.Restart()
				awaitSession(t, events, mqtt.SessionLost)
				for _, d := range sent {
					_, err := d.Wait(ctx)
					require.NoError(t, err)
				}
				for i := range 20 {
					wantPayloads(t, a, fmt.Sprint(i))
				}
				publish(t, client, "lost/b", "after", mqtt.ExactlyOnce)
				for i := range 20 {
					wantPayloads(t, b, fmt.Sprint(i))
				}
				wantPayloads(t, b, "after")
			})
		}
	}
}

// Mosquitto 2.0.11 closes the old connection without saying why, in any version,
// so nothing tells the client that it should not come back. The policies of the
// two end it.
func TestMosquittoTakeoversGoOnNoLongerThanThePolicyAllows(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		ctx := testContext(t)
		const attempts = 5
		policy := eager
		policy.MaxAttempts = attempts
		policy.HealthyAfter = time.Hour
		cfg := mqtt.Config{Version: v, ClientID: "same", Reconnect: policy}
		first := connectTo(t, server.URL(), cfg)
		second := connectTo(t, server.URL(), cfg)
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

		publish(t, stays, "x", "", mqtt.ExactlyOnce)
		require.Equal(t, mqtt.Connected, stays.State())
		require.NoError(t, stays.Close())
	})
}
