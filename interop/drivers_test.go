package interop

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/interop/drivers"
)

// TestDriversWithMosquitto takes every driver through its operations against a server
// that is not ours, so that what a client is found to do wrong elsewhere is not its
// driver's fault.
func TestDriversWithMosquitto(t *testing.T) {
	server := mosquitto.Start(t, mosquitto.Options{})
	eachClient(t, func(t *testing.T, d drivers.Driver, version byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		received := make(chan message, 100)
		p := newPeer(t, d, func(m message) { received <- m })
		base := fmt.Sprintf("%s/%d/", d.Name, version)
		o := options{URL: server.URL(), ID: fmt.Sprintf("%s%d", d.Name, version), Version: version, Clean: true}
		want := func(m message) {
			t.Helper()
			select {
			case got := <-received:
				require.Equal(t, m, got)
			case <-ctx.Done():
				require.Fail(t, "no message", "want %v", m)
			}
		}

		_, err := p.connect(ctx, o)
		require.NoError(t, err)
		for qos := range byte(3) {
			m := message{Topic: base + "echo", Payload: fmt.Sprint(qos), QoS: qos}
			granted, err := p.subscribe(ctx, base+"echo", qos)
			require.NoError(t, err)
			require.Equal(t, qos, granted)
			require.NoError(t, p.publish(ctx, m))
			want(m)
		}
		require.NoError(t, p.unsubscribe(ctx, base+"echo"))
		require.NoError(t, p.publish(ctx, message{Topic: base + "echo", QoS: 1}))
		require.NoError(t, p.publish(ctx, message{Topic: base + "kept", Payload: "kept", QoS: 1, Retain: true}))
		_, err = p.subscribe(ctx, base+"kept", 1)
		require.NoError(t, err)
		want(message{Topic: base + "kept", Payload: "kept", QoS: 1, Retain: true})
		require.NoError(t, p.disconnect(ctx))

		driverComesBack(ctx, t, p, o, base, want)
	})
}

// driverComesBack kills the client, whose will is published, and has it go on with its
// session.
func driverComesBack(ctx context.Context, t *testing.T, p *peer, o options, base string, want func(message)) {
	ours, err := mqtt.Connect(ctx, o.URL, mqtt.Config{ClientID: "beside" + o.ID})
	require.NoError(t, err)
	t.Cleanup(func() { ours.Close() })
	sub, err := ours.Subscribe(ctx, base+"will", mqtt.ExactlyOnce)
	require.NoError(t, err)

	o.Clean, o.Expiry = false, 300
	o.Will = &message{Topic: base + "will", Payload: "gone", QoS: 2}
	_, err = p.connect(ctx, o)
	require.NoError(t, err)
	_, err = p.subscribe(ctx, base+"away", 2)
	require.NoError(t, err)
	require.NoError(t, p.kill())
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, "gone", string(m.Payload))
	require.NoError(t, ours.Publish(ctx, base+"away", []byte("meanwhile"), mqtt.ExactlyOnce))

	present, err := p.connect(ctx, o)
	require.NoError(t, err)
	require.Equal(t, o.Version > 3, present, "3.1 does not say")
	want(message{Topic: base + "away", Payload: "meanwhile", QoS: 2})
	require.NoError(t, p.disconnect(ctx))
}
