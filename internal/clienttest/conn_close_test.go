package clienttest

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// slowlyClosed is a connection that takes its time to close.
type slowlyClosed struct {
	net.Conn
	open    *atomic.Int32 // connections that are not closed
	closing atomic.Bool
}

func (c *slowlyClosed) Close() error {
	err := c.Conn.Close()
	if !c.closing.Swap(true) {
		time.Sleep(100 * time.Millisecond)
		c.open.Add(-1)
	}
	return err
}

// dialSlowlyClosed makes the connections of cfg slowlyClosed. open counts those that are
// open, and most is how many were at a time.
func dialSlowlyClosed(cfg *mqtt.Config) (open, most *atomic.Int32) {
	open, most = new(atomic.Int32), new(atomic.Int32)
	dial := cfg.Dial
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		most.Store(max(most.Load(), open.Add(1)))
		return &slowlyClosed{Conn: nc, open: open}, nil
	}
	return open, most
}

func TestConnectionIsClosedBeforeTheNextIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		open, most := dialSlowlyClosed(&cfg)
		client, conn := Open(t, srv, cfg)
		for range 3 {
			call := Begin(func() error { return client.Reconnect(t.Context()) })
			mqtttest.Take[*wire.Disconnect](conn)
			conn.WantClosed()
			conn = srv.Connected(&wire.Connack{})
			require.NoError(t, call.Wait())
		}
		require.EqualValues(t, 1, most.Load())
		require.EqualValues(t, 1, open.Load())
	})
}

func TestNoConnectionIsOpenWhenTheClientIsDone(t *testing.T) {
	ends := map[string]func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn){
		"Close": func(t *testing.T, client *mqtt.Client, _ *mqtttest.Conn) { require.NoError(t, client.Close()) },
		"Disconnect": func(t *testing.T, client *mqtt.Client, _ *mqtttest.Conn) {
			require.NoError(t, client.Disconnect(t.Context()))
		},
		"Close, and the server closes too": func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
			call := Begin(client.Close)
			mqtttest.Take[*wire.Disconnect](conn)
			conn.Close()
			require.NoError(t, call.Wait())
		},
		"the server closes": func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
			conn.Close()
			<-client.Done()
		},
		"a fault of the server": func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
			conn.SendRaw("30 ff ff ff ff 7f") // a length of five bytes
			<-client.Done()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.Permanent = func(error) bool { return true }
				open, _ := dialSlowlyClosed(&cfg)
				client, conn := Open(t, srv, cfg)
				end(t, client, conn)
				require.Zero(t, open.Load())
			})
		})
	}
}
