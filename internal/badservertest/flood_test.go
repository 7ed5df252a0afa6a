package badservertest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestServerThatBreaksTheReceiveMaximumIsToldAndThenIndulged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.ReceiveMaximum = 2
		client, conn := Open(t, srv, cfg)
		sub, err := client.Route("#")
		require.NoError(t, err)
		for id, want := range []uint16{16, 128} {
			for i := range int(want) {
				conn.Offer(Pub(uint16(i+1+1000*id), 1, fmt.Sprint(i)))
			}
			conn.WantDisconnect(wire.ReceiveMaximumExceeded)
			conn = srv.Accept()
			require.Equal(t, uint16(2), conn.WantConnect().ReceiveMaximum)
			conn.Send(Resumed())
		}
		// Now all that the server insists on gets through.
		for i := range 128 {
			conn.Send(Pub(uint16(i+30_001), 1, "insisted"))
		}
		for count := 0; count < 128; {
			msg, err := sub.Next(t.Context())
			require.NoError(t, err)
			if string(msg.Payload) == "insisted" {
				count++
			}
		}
	})
}

func TestServerThatAsksWithoutReadingIsNotAnsweredWithoutBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 10})
		cfg := Quiet(srv)
		cfg.WriteTimeout = 10 * time.Second
		client, conn := Open(t, srv, cfg)
		// Each PUBREL for an unknown identifier is owed a PUBCOMP.
		flood := make([]wire.Packet, 10_000)
		for i := range flood {
			flood[i] = Pubrel(7)
		}
		start := time.Now()
		for client.State() == mqtt.Connected {
			conn.Offer(flood...)
		}
		require.Less(t, client.Stats().BytesReceived, uint64(16<<20))
		require.LessOrEqual(t, time.Since(start), 20*time.Second)
		require.Equal(t, uint64(1), client.Stats().Lost)
	})
}
