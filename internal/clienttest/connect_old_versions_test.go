package clienttest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestOlderVersionsHaveNoProperties(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		if v == wire.V5 {
			return
		}
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.SessionExpiry, cfg.TopicAliasMaximum = time.Hour, 5
		cfg.Will = &mqtt.Will{Message: mqtt.Message{Topic: "w"}}
		d := Dial(t, cfg)
		conn := srv.Accept()
		conn.Want(&wire.Connect{ClientID: "c1", CleanStart: true, Will: &wire.Will{Topic: "w"}})
		conn.Send(&wire.Connack{})
		d.Client(t)
	})
}

func TestAutoFallsBackTo311(t *testing.T) {
	for name, test := range map[string]struct {
		refuse func(*mqtttest.Conn)
		why    func(*testing.T, error)
		kept   bool // 3.1.1 comes first from then on
	}{
		"reason code 0x84": {
			func(c *mqtttest.Conn) { c.Send(&wire.Connack{ReasonCode: wire.UnsupportedProtocolVersion}) },
			func(t *testing.T, err error) { require.ErrorIs(t, err, mqtt.UnsupportedProtocolVersion) }, true},
		"return code 1": {
			func(c *mqtttest.Conn) { c.SendRaw("20 02 00 01") },
			func(t *testing.T, err error) { require.ErrorIs(t, err, mqtt.UnsupportedProtocolVersion) }, true},
		"hangs up": {
			func(*mqtttest.Conn) {},
			func(t *testing.T, err error) { require.ErrorContains(t, err, "server closed the connection") }, false},
		"DISCONNECT without a reason": {
			func(c *mqtttest.Conn) { c.SendRaw("e0 00") },
			func(t *testing.T, err error) { require.ErrorContains(t, err, "DISCONNECT") }, false},
		"accepts as 3.1.1 does": {
			func(c *mqtttest.Conn) { c.SendRaw("20 02 00 00") },
			func(t *testing.T, err error) { require.ErrorIs(t, err, mqtt.MalformedPacket) }, false},
		"answers with something else": {
			func(c *mqtttest.Conn) { c.SendRaw("d0 00") },
			func(t *testing.T, err error) { require.ErrorIs(t, err, mqtt.ProtocolError) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.Version = mqtt.Auto
				d := Dial(t, cfg)
				conn := srv.Accept()
				require.Equal(t, wire.V5, conn.WantConnect().Version)
				test.refuse(conn)
				conn.Close()
				srv.Version = wire.V311
				conn = srv.Connected(&wire.Connack{})
				client := d.Client(t)
				info := client.ServerInfo()
				require.Equal(t, mqtt.V311, info.Version)
				test.why(t, info.Fallback)

				conn.Close()
				if !test.kept {
					srv.Version = wire.V5
				}
				require.Equal(t, srv.Version, srv.Accept().WantConnect().Version, "only what the server said is kept")
			})
		})
	}
}

func TestAutoDoesNotFallBackOnceAServerHasSpoken5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version = mqtt.Auto
		_, conn := Open(t, srv, cfg)
		conn.Close()
		for range 3 {
			conn = srv.Accept()
			require.Equal(t, wire.V5, conn.WantConnect().Version)
			conn.Close()
		}
	})
}

func TestAutoReturnsWhatTheOlderVersionSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version = mqtt.Auto
		d := Dial(t, cfg)
		conn := srv.Accept()
		conn.WantConnect()
		conn.Close()
		srv.Version = wire.V311
		srv.Connected(&wire.Connack{ReasonCode: wire.BadUserNameOrPassword})
		require.ErrorIs(t, d.Call.Wait(), mqtt.BadUserNameOrPassword)
	})
}

func TestClientIDOf31HasUpTo23Characters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V31)
		cfg := Quiet(srv)
		cfg.ClientID = strings.Repeat("ä", 24)
		_, err := mqtt.Connect(t.Context(), "mqtt://server", cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "Config.ClientID: has 24 characters; MQTT 3.1 allows 1 to 23")

		cfg.ClientID = strings.Repeat("ä", 23) // 46 bytes
		d := Dial(t, cfg)
		conn := srv.Accept()
		require.Equal(t, cfg.ClientID, conn.WantConnect().ClientID)
		conn.Send(&wire.Connack{})
		d.Client(t)
	})
}

func TestGeneratedClientIDSuitsEveryVersion(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.ClientID = ""
		d := Dial(t, cfg)
		conn := srv.Accept()
		// What every server has to accept [MQTT-3.1.3-5].
		require.Regexp(t, "^[0-9a-zA-Z]{1,23}$", conn.WantConnect().ClientID)
		conn.Send(&wire.Connack{})
		d.Client(t)
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
				d := Dial(t, Quiet(srv))
				conn := srv.Accept()
				conn.WantConnect()
				conn.SendRaw("20 02 00 " + code)
				err := d.Call.Wait()
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
			cfg := Quiet(srv)
			cfg.Bridge = true
			d := Dial(t, cfg)
			conn := srv.Accept()
			conn.Want(&wire.Connect{Bridge: true, ClientID: "c1", CleanStart: true})
			conn.Send(&wire.Connack{})
			d.Client(t)
		})
	}
	for _, v := range []mqtt.Version{mqtt.Auto, mqtt.V5} {
		_, err := mqtt.Connect(t.Context(), "mqtt://server", mqtt.Config{Version: v, Bridge: true})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "Config.Bridge: needs Version V311 or V31")
	}
}
