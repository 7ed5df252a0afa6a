package mqtt_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestDisconnectChangesTheSessionExpiry(t *testing.T) {
	for name, c := range map[string]struct {
		resume bool
		expiry *time.Duration
		want   *uint32
	}{
		"default":             {want: new(uint32(0))},
		"default of a resume": {resume: true},
		"end":                 {resume: true, expiry: new(time.Duration(0)), want: new(uint32(0))},
		"shorter":             {resume: true, expiry: new(1500 * time.Millisecond), want: new(uint32(2))},
		"kept all the same":   {expiry: new(time.Hour), want: new(uint32(3600))},
		"for ever":            {resume: true, expiry: new(time.Duration(-1)), want: new(uint32(0xffffffff))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := quiet(srv)
				cfg.Resume = c.resume
				client, conn := open(t, srv, cfg)
				end := begin(func() error {
					return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{
						SessionExpiry: c.expiry, ReasonString: "leaving", UserProperties: []mqtt.UserProperty{{Name: "k", Value: "v"}},
					})
				})
				p := mqtttest.Take[*wire.Disconnect](conn)
				require.Equal(t, &wire.Disconnect{
					SessionExpiryInterval: c.want, ReasonString: "leaving", UserProperties: []wire.UserProperty{{Name: "k", Value: "v"}},
				}, p)
				require.NoError(t, end.wait())
			})
		})
	}
}

func TestDisconnectCanNotKeepASessionThatEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.SessionExpiry = -1
		client, conn := open(t, srv, cfg)
		err := client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: new(time.Hour)})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		err = client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{ReasonString: "\x00"})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		conn.WantIdle()
		require.Equal(t, mqtt.Connected, client.State(), "the client goes on")
	})
}

func TestDisconnectBefore5HasNothingToSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := open(t, srv, quiet(srv))
		end := begin(func() error {
			return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: new(time.Hour), ReasonString: "leaving"})
		})
		conn.Want(&wire.Disconnect{})
		require.NoError(t, end.wait())
	})
}

func TestDisconnectLeavesOutTextThatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := openWith(t, srv, quiet(srv), &wire.Connack{MaximumPacketSize: 20})
		end := begin(func() error {
			return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{ReasonCode: mqtt.QuotaExceeded, ReasonString: "far too long for this server"})
		})
		p := mqtttest.Take[*wire.Disconnect](conn)
		require.Equal(t, mqtt.QuotaExceeded, p.ReasonCode)
		require.Empty(t, p.ReasonString)
		require.NoError(t, end.wait())
	})
}
