package badservertest

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// loud is quiet with a log of warnings.
func loud(srv *mqtttest.Server) (mqtt.Config, *bytes.Buffer) {
	log := new(bytes.Buffer)
	cfg := Quiet(srv)
	cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return cfg, log
}

// TestHarmlessMistakesAreLoggedOnce has a server that makes the same ones in each
// CONNACK: Session Present after a clean start, Maximum QoS 2, Maximum Packet Size 0,
// and a Will Delay Interval.
func TestHarmlessMistakesAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, log := loud(srv)
		d := Dial(t, cfg)
		var client *mqtt.Client
		for range 3 {
			conn := srv.Accept()
			conn.WantConnect()
			conn.SendRaw("20 0f 01 00 0c 24 02 27 00 00 00 00 18 00 00 00 01")
			if client == nil {
				client = d.Client(t)
			}
			require.Equal(t, mqtt.ExactlyOnce, client.ServerInfo().Limits.MaximumQoS)
			require.Zero(t, client.ServerInfo().Limits.MaximumPacketSize)
			two := Publish(t, client, "x", 2)
			Obey(conn)
			require.NoError(t, two.Wait())
			conn.Close()
		}
		for _, fault := range []string{"session present after a clean start", "Maximum QoS out of range",
			"Maximum Packet Size out of range", "property not known here"} {
			require.Equal(t, 1, strings.Count(log.String(), fault), "%s: %s", fault, log.String())
		}
	})
}

// TestPubackForQoS2IsAnAnswer: a server that takes QoS 2 for QoS 1 has the message.
func TestPubackForQoS2IsAnAnswer(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			cfg, log := loud(srv)
			client, conn := Open(t, srv, cfg)
			for range 3 {
				two := Publish(t, client, "x", 2)
				conn.Send(Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
				require.NoError(t, two.Wait())
			}
			require.Contains(t, log.String(), "which is QoS 2")
			conn.WantIdle()
		})
	}
}

// TestSecondConnackIsNoVerdictOnTheNextConnect says so with every return code.
func TestSecondConnackIsNoVerdictOnTheNextConnect(t *testing.T) {
	for code, want := range map[string]mqtt.ReasonCode{
		"01": mqtt.UnsupportedProtocolVersion, "02": mqtt.ClientIdentifierNotValid, "03": mqtt.ServerUnavailable,
		"04": mqtt.BadUserNameOrPassword, "05": mqtt.NotAuthorized,
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V311)
			client, conn := Open(t, srv, Quiet(srv))
			events := client.Watch(t.Context())
			conn.SendRaw("20 02 00 " + code)
			conn.WantClosed()
			require.True(t, Seen(events, func(e mqtt.Event) bool {
				return e.State == mqtt.Reconnecting && errors.Is(e.Err, want)
			}), code)
			srv.Connected(&wire.Connack{})
			require.NoError(t, client.Err())
		})
	}
}

// TestAnswersThatDoNotFitAreRefusals: the request fails, the connection lives.
func TestAnswersThatDoNotFitAreRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		v    wire.Version
		code string
		want mqtt.ReasonCode
	}{
		"code 8 at 3.1.1":    {wire.V311, "08", mqtt.UnspecifiedError},
		"0x87 at 3.1.1":      {wire.V311, "87", mqtt.NotAuthorized},
		"0x8F at 3.1":        {wire.V31, "8f", mqtt.TopicFilterInvalid},
		"unknown at 5.0":     {wire.V5, "00 fe", 0xfe},
		"unknown low at 5.0": {wire.V5, "00 11", mqtt.UnspecifiedError},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, test.v)
				client, conn := Open(t, srv, Quiet(srv))
				b := BeginSubscribe(t.Context(), client, Filters("a")...)
				require.Equal(t, uint16(1), mqtttest.Take[*wire.Subscribe](conn).PacketID)
				conn.SendRaw(fmt.Sprintf("90 %02x 00 01 %s", 2+(len(test.code)+1)/3, test.code))
				require.ErrorIs(t, b.Wait(), test.want)
				one := Publish(t, client, "x", 1)
				conn.Send(Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
				require.NoError(t, one.Wait())
			})
		})
	}
}

// TestUnsubackInTheShapeOfAnotherVersion is an answer all the same.
func TestUnsubackInTheShapeOfAnotherVersion(t *testing.T) {
	for v, raw := range map[wire.Version]string{
		wire.V5:   "b0 02 00 02",
		wire.V311: "b0 04 00 02 00 00",
		wire.V31:  "b0 03 00 02 00",
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			client, conn := Open(t, srv, Quiet(srv))
			sub := Subscribe(t, client, conn, "a", 1)
			u := Begin(func() error { return sub.Unsubscribe(t.Context()) })
			require.Equal(t, uint16(2), mqtttest.Take[*wire.Unsubscribe](conn).PacketID)
			conn.SendRaw(raw)
			require.NoError(t, u.Wait())
			conn.WantIdle()
		})
	}
}

func TestDuplicateAtQoS0IsIgnored(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 0)
		if v == wire.V5 {
			conn.SendRaw("38 05 0001 74 00 78")
		} else {
			conn.SendRaw("38 04 0001 74 78")
		}
		m := Next(t, sub)
		require.Equal(t, "x", string(m.Payload))
		require.False(t, m.Duplicate)
	})
}
