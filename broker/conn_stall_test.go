package broker

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// deafConn is the end of somebody who sends and never reads.
type deafConn struct{ net.Conn }

func (deafConn) Read([]byte) (int, error) { return 0, errors.New("deaf") }

func TestClientsThatDoNotReadBeforeTheyAreKnown(t *testing.T) {
	t.Run("TLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := New(Config{})
			defer b.Close()
			ln := NewMemoryListener(256)
			secure := tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "localhost")}})
			go b.Serve(t.Context(), secure) // Close waits for it
			nc, err := ln.Dial(t.Context(), "", "")
			require.NoError(t, err)
			defer nc.Close()
			require.Error(t, tls.Client(deafConn{nc}, &tls.Config{ServerName: "broker"}).Handshake())
			require.Equal(t, 1, b.Stats().Connections)
			advance(time.Minute)
			require.Zero(t, b.Stats().Connections)
		})
	})
	t.Run("HTTP", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := New(Config{})
			defer b.Close()
			ln := NewMemoryListener(64)
			go b.ServeWebSocket(t.Context(), ln) // Close waits for it
			nc, err := ln.Dial(t.Context(), "", "")
			require.NoError(t, err)
			defer nc.Close()
			_, err = nc.Write([]byte("GET / HTTP/1.1\r\nHost: broker\r\n\r\n"))
			require.NoError(t, err)
			advance(time.Minute)
			_, err = nc.Write(make([]byte, 100))
			require.Error(t, err, "the answer, which nobody reads, still waits")
		})
	})
}

// deadlineConn remembers the deadline for writing.
type deadlineConn struct {
	net.Conn
	write time.Time
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error {
	c.write = t
	return c.Conn.SetWriteDeadline(t)
}

// TLS writes on its own when the peer renews its keys. The deadline of the last
// packet must not be in its way.
func TestNoDeadlineForWritingIsLeftBehind(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		near, far := pipe.New(0)
		nc := &deadlineConn{Conn: far}
		go b.ServeConn(nc) // ends with the broker
		s := &script{t: t, net: near, version: wire.V5, reader: wire.NewReader(near, wire.V5, 0), decoder: wire.Decoder{Version: wire.V5}}
		s.send(&wire.Connect{ClientID: "c", CleanStart: true})
		receive[*wire.Connack](s)
		synctest.Wait()
		require.Zero(t, nc.write)
	})
}
