package mqtt_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestClientIDOf31HasUpTo23Characters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V31)
		cfg := quiet(srv)
		cfg.ClientID = strings.Repeat("ä", 24)
		_, err := mqtt.Connect(t.Context(), "mqtt://server", cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "Config.ClientID: has 24 characters; MQTT 3.1 allows 1 to 23")

		cfg.ClientID = strings.Repeat("ä", 23) // 46 bytes
		d := dial(t, cfg)
		conn := srv.Accept()
		require.Equal(t, cfg.ClientID, conn.WantConnect().ClientID)
		conn.Send(&wire.Connack{})
		d.client(t)
	})
}

func TestGeneratedClientIDSuitsEveryVersion(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := quiet(srv)
		cfg.ClientID = ""
		d := dial(t, cfg)
		conn := srv.Accept()
		// What every server has to accept [MQTT-3.1.3-5].
		require.Regexp(t, "^[0-9a-zA-Z]{1,23}$", conn.WantConnect().ClientID)
		conn.Send(&wire.Connack{})
		d.client(t)
	})
}

func TestReturnCodesBecomeReasonCodes(t *testing.T) {
	for code, want := range map[string]mqtt.ReasonCode{
		"01": mqtt.UnsupportedProtocolVersion, "02": mqtt.ClientIdentifierNotValid, "03": mqtt.ServerUnavailable,
		"04": mqtt.BadUserNameOrPassword, "05": mqtt.NotAuthorized,
	} {
		for _, v := range []wire.Version{wire.V31, wire.V311} {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, v)
				d := dial(t, quiet(srv))
				conn := srv.Accept()
				conn.WantConnect()
				conn.SendRaw("20 02 00 " + code)
				err := d.call.wait()
				require.ErrorIs(t, err, want)
				require.Equal(t, want != mqtt.ServerUnavailable, mqtt.IsPermanent(err))
			})
		}
	}
}

func TestBridgeSetsTheTopBit(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			cfg := quiet(srv)
			cfg.Bridge = true
			d := dial(t, cfg)
			conn := srv.Accept()
			conn.Want(&wire.Connect{Bridge: true, ClientID: "c1", CleanStart: true})
			conn.Send(&wire.Connack{})
			d.client(t)
		})
	}
	for _, v := range []mqtt.Version{mqtt.Auto, mqtt.V5} {
		_, err := mqtt.Connect(t.Context(), "mqtt://server", mqtt.Config{Version: v, Bridge: true})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "Config.Bridge: needs Version V311 or V31")
	}
}

func TestMosquittoSendsABridgeNotItsOwnMessages(t *testing.T) {
	server := mosquittoStart(t, mosquitto.Options{})
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311} {
		bridge := mosquittoConnect(t, server.URL(), mqtt.Config{Version: v, Bridge: true})
		other := mosquittoConnect(t, server.URL(), mqtt.Config{Version: v})
		sub := mosquittoSubscribe(t, bridge, "a", mqtt.AtLeastOnce)
		mosquittoPublish(t, bridge, "a", "own", mqtt.AtLeastOnce)
		require.NoError(t, other.PublishMessage(mosquittoContext(t), &mqtt.Message{Topic: "a", Payload: []byte("other"), QoS: 1, Retain: true}))
		m := mosquittoNext(t, sub)
		require.Equal(t, "other", string(m.Payload))
		require.True(t, m.Retain, "as published")
	}
}
