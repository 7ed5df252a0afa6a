package mosquittotest

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/faultproxy"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// silence breaks an open connection so that only keep-alive can tell,
// and mends it.
type silence struct{ breakIt, mend func() }

func TestMosquittoThatFallsSilentIsNoticed(t *testing.T) {
	for name, silence := range map[string]func(*mosquitto.Server, *faultproxy.Proxy) silence{
		"stopped process": func(s *mosquitto.Server, _ *faultproxy.Proxy) silence {
			return silence{s.Pause, s.Resume}
		},
		"nothing comes": func(_ *mosquitto.Server, p *faultproxy.Proxy) silence {
			return silence{func() { p.Blackhole(faultproxy.Down) }, func() { p.Blackhole(faultproxy.None) }}
		},
		"nothing goes or comes": func(_ *mosquitto.Server, p *faultproxy.Proxy) silence {
			return silence{func() { p.Blackhole(faultproxy.Both) }, func() { p.Blackhole(faultproxy.None) }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const keepAlive = 2 * time.Second
			server := startServer(t, mosquitto.Options{})
			proxy := faultproxy.New(t, server.Addr())
			ctx := testContext(t)
			client := connectTo(t, proxy.URL(), mqtt.Config{KeepAlive: keepAlive, Reconnect: eager})
			events := client.Watch(ctx)
			sub := subscribeTo(t, client, "x", mqtt.ExactlyOnce)

			is := silence(server, proxy)
			is.breakIt()
			began := time.Now()
			// That we write is no proof of life.
			d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "x", Payload: []byte("meanwhile"), QoS: mqtt.ExactlyOnce})
			require.NoError(t, err)
			e := await(t, events, "without a connection", func(e mqtt.Event) bool { return e.State == mqtt.Reconnecting })
			took := time.Since(began)
			is.mend()
			require.ErrorIs(t, e.Err, mqtt.ErrKeepAlive)
			t.Logf("noticed after %v with a keep-alive of %v", took.Round(time.Millisecond), keepAlive)
			require.Less(t, took, 20*keepAlive) // it is 1.5 on a machine that has time

			await(t, events, "connected again", func(e mqtt.Event) bool { return e.State == mqtt.Connected })
			_, err = d.Wait(ctx)
			require.NoError(t, err)
			publish(t, client, "x", "end", mqtt.ExactlyOnce)
			wantPayloads(t, sub, "meanwhile", "end")
		})
	}
}

func TestMosquittoThatIsIdleIsKeptAlive(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	proxy := faultproxy.New(t, server.Addr())
	ctx := testContext(t)
	client := connectTo(t, proxy.URL(), mqtt.Config{KeepAlive: time.Second})
	// Five answers to PINGREQ, two bytes each. Mosquitto would end a connection
	// that is silent for one and a half seconds.
	require.NoError(t, proxy.WaitBytes(ctx, 0, proxy.BytesDown()+5*2))
	publish(t, client, "x", "", mqtt.ExactlyOnce)
	require.EqualValues(t, 1, client.Stats().Connections)
}

func TestMosquittoThatIsStoppedDoesNotHoldUpTheEnd(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{})
	sub := subscribeTo(t, client, "x", mqtt.ExactlyOnce)
	channel, events := sub.Messages(), client.Watch(ctx)
	server.Pause()
	failed := make(chan error, 3)
	go func() { failed <- client.Publish(ctx, "x", nil, mqtt.ExactlyOnce) }()
	go func() { failed <- client.Flush(ctx) }()
	go func() {
		_, err := client.Subscribe(ctx, "y", mqtt.ExactlyOnce)
		failed <- err
	}()
	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "x", QoS: mqtt.AtLeastOnce})
	require.NoError(t, err)
	require.NotEmpty(t, goroutinesOfLibrary()) // what the end of every test looks for
	require.NoError(t, client.Close())
	for range cap(failed) {
		// Flush may have begun before anything was published.
		if err := <-failed; err != nil {
			require.ErrorIs(t, err, mqtt.ErrClosed)
		}
	}
	_, err = d.Wait(ctx)
	require.ErrorIs(t, err, mqtt.ErrClosed)
	_, open := <-channel
	require.False(t, open)
	for e := range events {
		require.True(t, e.Err == nil || errors.Is(e.Err, mqtt.ErrClosed), "%+v", e)
	}
	requireNoGoroutines(t)
	server.Resume()
}
