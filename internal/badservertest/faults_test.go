package badservertest

import (
	"errors"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestBadServersAreToldWhyAndLeft(t *testing.T) {
	for name, test := range map[string]struct {
		raw    string // sent by a 5.0 server
		old    string // sent by a 3.1.1 server; empty: the case does not exist there
		reason wire.ReasonCode
	}{
		"reserved packet type":          {"00 00", "00 00", wire.MalformedPacket},
		"AUTH without a method":         {"f0 00", "f0 00", wire.ProtocolError},
		"reserved flags":                {"41 02 00 01", "41 02 00 01", wire.MalformedPacket},
		"length of five bytes":          {"30 ff ff ff ff 7f", "30 ff ff ff ff 7f", wire.MalformedPacket},
		"QoS 3":                         {"36 06 00 01 74 00 01 00", "36 05 00 01 74 00 01", wire.MalformedPacket},
		"topic longer than the packet":  {"30 03 00 09 74", "30 03 00 09 74", wire.MalformedPacket},
		"topic with a wildcard":         {"30 04 00 01 23 00", "30 03 00 01 23", wire.ProtocolError},
		"topic that is no UTF-8":        {"30 04 00 01 ff 00", "30 03 00 01 ff", wire.MalformedPacket},
		"packet identifier 0":           {"32 06 00 01 74 00 00 00", "32 05 00 01 74 00 00", wire.ProtocolError},
		"second CONNACK":                {"20 03 00 00 00", "20 02 00 00", wire.ProtocolError},
		"CONNECT":                       {"10 00", "10 00", wire.ProtocolError},
		"SUBSCRIBE":                     {"82 06 00 01 00 00 00 00", "82 05 00 01 00 00 00", wire.ProtocolError},
		"PINGREQ":                       {"c0 00", "c0 00", wire.ProtocolError},
		"truncated PUBACK":              {"40 01 00", "40 01 00", wire.MalformedPacket},
		"PUBACK for QoS 2":              {"40 02 00 01", "", wire.ProtocolError}, // before 5.0 it is tolerated
		"PUBCOMP before PUBREL":         {"70 02 00 01", "70 02 00 01", wire.ProtocolError},
		"PUBACK for a SUBSCRIBE":        {"40 02 00 02", "40 02 00 02", wire.ProtocolError},
		"SUBACK with too many codes":    {"90 05 00 02 00 00 00", "90 04 00 02 00 00", wire.ProtocolError},
		"SUBACK without codes":          {"90 03 00 02 00", "90 02 00 02", wire.ProtocolError},
		"UNSUBACK for a SUBSCRIBE":      {"b0 04 00 02 00 00", "b0 02 00 02", wire.ProtocolError},
		"unknown reason code":           {"40 03 00 01 ff", "", wire.ProtocolError},
		"unknown property":              {"30 07 00 01 74 02 7f 00 78", "", wire.MalformedPacket},
		"property twice":                {"30 08 00 01 74 04 01 00 01 00", "", wire.ProtocolError},
		"alias above the maximum":       {"30 07 00 01 74 03 23 00 09", "", wire.TopicAliasInvalid},
		"alias 0":                       {"30 07 00 01 74 03 23 00 00", "", wire.TopicAliasInvalid},
		"alias that was never set":      {"30 06 00 00 03 23 00 01", "", wire.ProtocolError},
		"packet larger than announced":  {"30 ac 02 00", "30 ac 02 00", wire.PacketTooLarge},
		"claim of the largest packet":   {"30 ff ff ff 7f 00", "30 ff ff ff 7f 00", wire.PacketTooLarge},
		"no topic and no alias":         {"30 03 00 00 00", "30 02 00 00", wire.ProtocolError},
		"subscription identifier 0":     {"30 06 00 01 74 02 0b 00", "", wire.ProtocolError},
		"session expiry in DISCONNECT":  {"e0 07 00 05 11 00 00 00 01", "", wire.ProtocolError},
		"DISCONNECT before version 5.0": {"", "e0 00", 0},
	} {
		for v, raw := range map[wire.Version]string{wire.V5: test.raw, wire.V311: test.old} {
			if raw == "" {
				continue
			}
			t.Run(name+" "+v.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, v)
					cfg := Quiet(srv)
					cfg.MaximumPacketSize, cfg.TopicAliasMaximum = 300, 5
					client, conn := Open(t, srv, cfg)
					events := client.Watch(t.Context())
					// Packet 1 is a QoS 2 PUBLISH, packet 2 a SUBSCRIBE.
					d := PublishAsync(t, client, "x", 2)
					s := BeginSubscribe(t.Context(), client, Filters("a")...)
					conn.Want(Pub(1, 2, "x"))
					mqtttest.Take[*wire.Subscribe](conn)

					conn.SendRaw(raw)
					if v == wire.V5 {
						conn.WantDisconnect(test.reason)
					} else {
						conn.WantClosed()
					}
					conn = srv.Connected(resumed0(v))
					Obey(conn)
					require.True(t, Settled(d))
					require.NoError(t, s.Wait())
					require.True(t, Seen(events, func(e mqtt.Event) bool {
						_, fault := errors.AsType[*wire.Error](e.Err)
						return e.State == mqtt.Reconnecting && fault
					}))
				})
			})
		}
	}
}

// resumed0 is the CONNACK of a server that has the session if the version
// keeps it by default.
func resumed0(v wire.Version) *wire.Connack { return &wire.Connack{SessionPresent: v == wire.V5} }

func TestBadHandshakesAreErrors(t *testing.T) {
	for name, test := range map[string]struct {
		raw    string
		reason wire.ReasonCode // of our DISCONNECT; 0: none
	}{
		"HTTP":                   {"48 54 54 50 2f 31 2e 31 20 34 30 30", 0},
		"garbage":                {"f1 00", wire.MalformedPacket},
		"another packet first":   {"d0 00", wire.ProtocolError},
		"PUBLISH first":          {"30 04 00 01 74 00", wire.ProtocolError},
		"truncated CONNACK":      {"20 01 00", wire.MalformedPacket},
		"reserved CONNACK flags": {"20 03 02 00 00", wire.MalformedPacket},
		"unknown reason code":    {"20 03 00 42 00", 0},
		"receive maximum 0":      {"20 06 00 00 03 21 00 00", wire.ProtocolError},
		"authentication unasked": {"20 07 00 00 04 15 00 01 78", wire.ProtocolError},
		"claim of a huge packet": {"20 ff ff ff 7f", wire.PacketTooLarge},
		"half a packet":          {"20 03 00", 0},
		"nothing at all":         {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.MaximumPacketSize = 1000
				d := Dial(t, cfg)
				conn := srv.Accept()
				conn.WantConnect()
				conn.SendRaw(test.raw)
				if test.reason != 0 {
					conn.WantDisconnect(test.reason)
				} else {
					conn.WantClosed()
				}
				require.Error(t, d.Call.Wait())
				require.False(t, mqtt.IsPermanent(d.Call.Err))
			})
		})
	}
}

func TestHungUpHalfwayIsALostConnection(t *testing.T) {
	for _, raw := range []string{"30", "30 05 00", "90 05"} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			conn.SendRaw(raw)
			conn.Close()
			srv.Connected(Resumed()).WantIdle()
			require.Equal(t, uint64(2), client.Stats().Connections)
		})
	}
}

func TestClaimedLengthAllocatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		_, conn := Open(t, srv, Quiet(srv))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		conn.SendRaw("30 ff ff ff 7f 00 01 74 00") // 256 MiB are to come
		synctest.Wait()
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	})
}

func TestSecondUseOfAnOpenIdentifierIsAProtocolError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
		conn.Send(Pub(1, 1, "1"), Pub(1, 1, "2"))
		conn.WantDisconnect(wire.ProtocolError)
		WantMessages(t, sub, "1")
	})
}

func TestMessagesBeforeTheFaultAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.SendRaw("30 05 00 01 74 00 31  00 00  30 05 00 01 74 00 32")
		conn.WantDisconnect(wire.MalformedPacket)
		WantMessages(t, sub, "1")
	})
}

func TestAcknowledgementsOfNothingAreHarmless(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		conn.Send(Puback(9), Pubcomp(9), &wire.Suback{PacketID: 9, ReasonCodes: []wire.ReasonCode{0}}, Pubrel(9), &wire.Pingresp{})
		p := mqtttest.Take[*wire.Pubcomp](conn)
		require.Equal(t, uint16(9), p.PacketID)
		conn.WantIdle()
		require.Zero(t, client.Stats().Lost)
	})
}

func TestServerThatTakesAndSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 256})
		cfg := Quiet(srv)
		cfg.KeepAlive = 10 * time.Second
		client, _ := Open(t, srv, cfg)
		call := Publish(t, client, string(make([]byte, 10_000)), 1)
		for range 3 {
			srv.Connected(Resumed()) // and then it reads nothing
		}
		require.False(t, call.Over())
		require.NoError(t, client.Close())
		require.ErrorIs(t, call.Wait(), mqtt.ErrClosed)
	})
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
					cfg := Quiet(srv)
					cfg.Version = v
					d := Dial(t, cfg)
					conn := srv.Accept()
					conn.WantConnect()
					conn.SendRaw(test.hex[:2])
					synctest.Wait()
					if !d.Call.Over() {
						conn.SendRaw(test.hex[2:])
					}
					conn.Close()
					require.ErrorContains(t, d.Call.Wait(), test.says)
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
			d := Dial(t, Quiet(srv))
			conn := srv.Accept()
			conn.WantConnect()
			conn.SendRaw("D0 00")
			conn.WantClosed()
			require.Error(t, d.Call.Wait())
		})
	}
}
