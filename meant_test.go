package mqtt_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func TestDurationsThatCanNotBeMeant(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  mqtt.Config
		says string
	}{
		"KeepAlive":        {mqtt.Config{KeepAlive: 60}, "KeepAlive: 60ns is less than a second; did you mean 60 * time.Second?"},
		"SessionExpiry":    {mqtt.Config{SessionExpiry: 3600}, "did you mean 3600 * time.Second?"},
		"half a second":    {mqtt.Config{KeepAlive: 500 * time.Millisecond}, "KeepAlive: 500ms is less than a second"},
		"will":             {mqtt.Config{Will: &mqtt.Will{Message: mqtt.Message{Topic: "t"}, DelayInterval: 5}}, "did you mean 5 * time.Second?"},
		"expiry of a will": {mqtt.Config{Will: &mqtt.Will{Message: mqtt.Message{Topic: "t", MessageExpiryInterval: new(time.Duration(9))}}}, "did you mean 9 * time.Second?"},
		"ConnectTimeout":   {mqtt.Config{ConnectTimeout: 15}, "ConnectTimeout: 15ns is less than a millisecond; did you mean 15 * time.Second?"},
		"milliseconds":     {mqtt.Config{WriteTimeout: 5000}, "did you mean 5000 * time.Millisecond?"},
		"PingTimeout":      {mqtt.Config{PingTimeout: 5}, "PingTimeout"},
		"HoldUnclaimedFor": {mqtt.Config{HoldUnclaimedFor: 5}, "HoldUnclaimedFor"},
		"StallAfter":       {mqtt.Config{StallAfter: 5}, "StallAfter"},
		"Reconnect.Max":    {mqtt.Config{Reconnect: reconnect.Policy{Max: 30}}, "Reconnect.Max"},
		"HealthyAfter":     {mqtt.Config{Reconnect: reconnect.Policy{HealthyAfter: 30}}, "Reconnect.HealthyAfter"},
	} {
		_, err := mqtt.Connect(t.Context(), "mqtt://server", test.cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid, name)
		require.ErrorContains(t, err, test.says, name)
	}
}

func TestDurationsOfRequestsThatCanNotBeMeant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		m := &mqtt.Message{Topic: "t", MessageExpiryInterval: new(time.Duration(300))}
		err := client.PublishMessage(t.Context(), m)
		require.ErrorContains(t, err, "300ns is less than a second; did you mean 300 * time.Second?")
		require.True(t, mqtt.NotSent(err))
		err = client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: new(time.Duration(60))})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "did you mean 60 * time.Second?")
		conn.WantIdle()
		require.NoError(t, client.Err())
	})
}

func TestAddressesThatAreNoURLs(t *testing.T) {
	for raw, says := range map[string]string{
		"localhost:1883":      "did you mean mqtt://localhost:1883?",
		"localhost":           "did you mean mqtt://localhost?",
		"10.0.0.1":            "did you mean mqtt://10.0.0.1?",
		"10.0.0.1:1883":       "did you mean mqtt://10.0.0.1:1883?",
		"broker.example:8883": "did you mean mqtts://broker.example:8883?",
		"::1":                 "did you mean mqtt://[::1]?",
		"[::1]:1883":          "did you mean mqtt://[::1]:1883?",
		"http://host":         "write ws://",
		"https://host":        "write wss://",
	} {
		_, err := mqtt.Connect(t.Context(), raw, mqtt.Config{})
		require.ErrorIs(t, err, mqtt.ErrInvalid, raw)
		require.ErrorContains(t, err, says)
		_, err = mqtt.Connect(t.Context(), "mqtt://good", mqtt.Config{Servers: []string{raw}})
		require.ErrorContains(t, err, says)
	}
	for _, raw := range []string{"user:secret", "user:12/secret@host", "secret", "s3cret!:1883", "secret@host:1883", ":1883"} {
		_, err := mqtt.Connect(t.Context(), raw, mqtt.Config{})
		require.ErrorIs(t, err, mqtt.ErrInvalid, raw)
		require.NotContains(t, err.Error(), "cret")
		require.NotContains(t, err.Error(), "did you mean")
	}
}

// TestServerThatSpeaksSomethingElse gets one CONNECT, of whatever version, and no
// DISCONNECT.
func TestServerThatSpeaksSomethingElse(t *testing.T) {
	for name, test := range map[string]struct {
		hex, says string
	}{
		"HTTP":  {"48 545450 2F312E31 20343030 204261640D0A0D0A", "server speaks HTTP and not MQTT; did you mean ws://server:1883/mqtt?"},
		"alert": {"15 03 03 00 02 02 46", "server speaks TLS and not MQTT; did you mean mqtts://server:1883?"},
	} {
		for _, v := range []mqtt.Version{mqtt.Auto, mqtt.V31, mqtt.V311, mqtt.V5} {
			t.Run(name+v.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					if v != mqtt.Auto {
						srv.Version = v
					}
					cfg := quiet(srv)
					cfg.Version = v
					d := dial(t, cfg)
					conn := srv.Accept()
					conn.WantConnect()
					conn.SendRaw(test.hex[:2])
					synctest.Wait()
					if !d.call.over() {
						conn.SendRaw(test.hex[2:])
					}
					conn.Close()
					require.ErrorContains(t, d.call.wait(), test.says)
					srv.WantNone(time.Hour)
				})
			})
		}
	}
}

func TestServerThatDoesNotSpeakTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		if nc, err := l.Accept(); err == nil {
			nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			nc.Close()
		}
	}()
	_, err = mqtt.Connect(t.Context(), "mqtts://"+l.Addr().String(), mqtt.Config{})
	require.ErrorContains(t, err, "server does not speak TLS")
}

// TestFaultsBeforeConnackInOldVersions: they have no packet to tell.
func TestFaultsBeforeConnackInOldVersions(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			d := dial(t, quiet(srv))
			conn := srv.Accept()
			conn.WantConnect()
			conn.SendRaw("D0 00")
			conn.WantClosed()
			require.Error(t, d.call.wait())
		})
	}
}

func TestDuplicateAtQoS0IsIgnored(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 0)
		if v == wire.V5 {
			conn.SendRaw("38 05 0001 74 00 78")
		} else {
			conn.SendRaw("38 04 0001 74 78")
		}
		m := next(t, sub)
		require.Equal(t, "x", string(m.Payload))
		require.False(t, m.Duplicate)
	})
}
