package mqtttest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// begin connects a client of 3.1.1 to a scripted server; the result comes when
// the script has answered.
func begin(t *testing.T, srv *mqtttest.Server) func() *mqtt.Client {
	t.Helper()
	var client *mqtt.Client
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		cfg := mqtt.Config{ClientID: "c1", Version: mqtt.V311, KeepAlive: -1, Reconnect: quickly}
		if strings.HasSuffix(srv.URL(), ":1") {
			cfg.Dial = srv.Dial
		}
		client, err = mqtt.Connect(t.Context(), srv.URL(), cfg)
	}()
	return func() *mqtt.Client {
		<-done
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		return client
	}
}

// conversation is the same in a bubble and outside.
func conversation(t *testing.T) {
	srv := mqtttest.NewServer(t, wire.V311)
	opened := begin(t, srv)
	conn := srv.Accept()
	require.Equal(t, "c1", conn.WantConnect().ClientID)
	conn.SendRaw("20 02 00 00")
	client := opened()
	published := make(chan error, 1)
	go func() { published <- client.Publish(t.Context(), "t", []byte("hello"), mqtt.AtLeastOnce) }()
	conn.Want(&wire.Publish{Topic: "t", Payload: []byte("hello"), QoS: wire.AtLeastOnce, PacketID: 1})
	conn.WantIdle()
	conn.Send(&wire.Puback{PacketID: 1})
	require.NoError(t, <-published)
	go client.Close()
	conn.WantDisconnect(wire.Success)
}

func TestScriptInMemory(t *testing.T) {
	bubble(t, conversation)
}

func TestScriptOnALoopbackPort(t *testing.T) {
	conversation(t)
}

func TestScriptRefusesAndListens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		waiting, err := srv.Dial(t.Context(), "", "")
		require.NoError(t, err)
		srv.Refuse()
		_, err = waiting.Read(make([]byte, 1))
		require.Error(t, err, "nobody will accept it")
		_, err = srv.Dial(t.Context(), "", "")
		require.ErrorContains(t, err, "refused")
		srv.Listen()
		_, err = srv.Dial(t.Context(), "", "")
		require.NoError(t, err)
		srv.Accept().Close()
	})
}

func TestWantNoneTakesNoLaterConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		srv.WantNone(time.Hour)
		nc, err := srv.Dial(t.Context(), "", "")
		require.NoError(t, err)
		srv.Accept().Send(&wire.Connack{})
		_, err = nc.Read(make([]byte, 1))
		require.NoError(t, err)
	})
}

func TestScriptSaysWhatIsWrong(t *testing.T) {
	connect := &wire.Connect{ClientID: "c1", CleanStart: true}
	for want, step := range map[string]func(*mqtttest.Server, *mqtttest.Conn){
		"no connection within 10m0s":                        func(s *mqtttest.Server, _ *mqtttest.Conn) { s.Accept() },
		"want PINGREQ (c000)\n got CONNECT":                 func(_ *mqtttest.Server, c *mqtttest.Conn) { c.Want(&wire.Pingreq{}) },
		"want *wire.Publish, got CONNECT":                   func(_ *mqtttest.Server, c *mqtttest.Conn) { mqtttest.Take[*wire.Publish](c) },
		"want nothing, got CONNECT":                         func(_ *mqtttest.Server, c *mqtttest.Conn) { c.WantIdle() },
		"want the end of the connection, got CONNECT":       func(_ *mqtttest.Server, c *mqtttest.Conn) { c.WantClosed() },
		"the connection did not end within 10m0s":           func(_ *mqtttest.Server, c *mqtttest.Conn) { c.WantConnect(); c.WantClosed() },
		"want PINGREQ, got read memory memory: i/o timeout": func(_ *mqtttest.Server, c *mqtttest.Conn) { c.WantConnect(); c.Want(&wire.Pingreq{}) },
		"cannot send: PUBACK: PacketID is 0":                func(_ *mqtttest.Server, c *mqtttest.Conn) { c.Send(&wire.Puback{}) },
		"cannot want: PUBACK: PacketID is 0":                func(_ *mqtttest.Server, c *mqtttest.Conn) { c.Want(&wire.Puback{}) },
		"cannot send: encoding/hex: invalid byte":           func(_ *mqtttest.Server, c *mqtttest.Conn) { c.SendRaw("xx") },
		"→ CONNECT Version=5.0 CleanStart ClientID=\"c1\"":  func(_ *mqtttest.Server, c *mqtttest.Conn) { c.WantIdle() },
		"2 bytes: d000": func(_ *mqtttest.Server, c *mqtttest.Conn) { c.SendRaw("d0 00"); c.WantIdle() },
	} {
		bubble(t, func(t *testing.T) {
			j := &judge{TB: t}
			srv := mqtttest.NewServer(j, wire.V5)
			nc, err := srv.Dial(t.Context(), "", "")
			require.NoError(t, err)
			write(t, nc, wire.V5, connect)
			conn := srv.Accept()
			j.sentence(func() { step(srv, conn) })
			require.True(t, j.Failed(), want)
			j.end()
			require.Contains(t, j.said(), want)
		})
	}
}

func TestTakeWithinAndOffer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		nc, err := srv.Dial(t.Context(), "", "")
		require.NoError(t, err)
		conn := srv.Accept()
		_, ok := mqtttest.TakeWithin[*wire.Pingreq](conn, time.Second)
		require.False(t, ok)
		write(t, nc, wire.V5, &wire.Pingreq{})
		_, ok = mqtttest.TakeWithin[*wire.Pingreq](conn, time.Second)
		require.True(t, ok)
		write(t, nc, wire.V5, &wire.Pingreq{}, &wire.Pingreq{})
		conn.Skip()
		conn.WantIdleFor(time.Hour)
		require.NoError(t, nc.Close())
		conn.Offer(&wire.Pingresp{})
		conn.WantClosed()
	})
}

func TestServerBufferStallsTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Buffer: 10, Patience: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		nc, err := srv.Dial(ctx, "", "")
		require.NoError(t, err)
		srv.Accept()
		require.NoError(t, nc.SetWriteDeadline(time.Now().Add(time.Minute)))
		n, err := nc.Write(make([]byte, 100))
		require.Error(t, err)
		require.Equal(t, 10, n)
	})
}
