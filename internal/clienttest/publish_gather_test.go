package clienttest

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// gated is a connection on which each write waits for a token.
type gated struct {
	net.Conn
	may chan struct{}
}

func (g *gated) Write(b []byte) (int, error) {
	<-g.may
	return g.Conn.Write(b)
}

// gatedStream publishes at QoS 0 while the writer is held up.
type gatedStream struct {
	t      *testing.T
	client *mqtt.Client
	conn   *mqtttest.Conn
	may    chan struct{}
}

func openGated(t *testing.T) *gatedStream {
	srv := mqtttest.NewServer(t, wire.V5)
	g := &gatedStream{t: t, may: make(chan struct{}, 1000)}
	g.may <- struct{}{} // CONNECT
	cfg := Quiet(srv)
	dial := cfg.Dial
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := dial(ctx, network, address)
		return &gated{nc, g.may}, err
	}
	g.client, g.conn = Open(t, srv, cfg)
	return g
}

func (g *gatedStream) publish(payload string) wire.Packet {
	require.NoError(g.t, g.client.Publish(g.t.Context(), "t", []byte(payload), mqtt.AtMostOnce))
	return Pub(0, 0, payload)
}

// during publishes n messages during the write of the first. Then that write may end, and
// all later ones go on.
func (g *gatedStream) during(first string, n int) (sent []wire.Packet) {
	synctest.Wait()
	for len(g.may) > 0 {
		<-g.may
	}
	sent = append(sent, g.publish(first))
	synctest.Wait() // the writer has it
	for range n {
		sent = append(sent, g.publish("x"))
	}
	g.may <- struct{}{}
	synctest.Wait()
	for len(g.may) < cap(g.may) {
		g.may <- struct{}{}
	}
	return sent
}

// A writer that is faster than a stream at QoS 0 waits for more of it, for 100 µs at most.
// What somebody waits for, or enough of the stream, ends that.
func TestTheWriterGathersAStreamForAMoment(t *testing.T) {
	const moment = 100 * time.Microsecond
	large := string(make([]byte, 32<<10))
	for name, c := range map[string]struct {
		first string
		burst int
		next  func(*gatedStream) wire.Packet // while it gathers, if it does; nil: nothing
		takes time.Duration
	}{
		"more does not come":   {"first", 40, nil, moment},
		"too few for a stream": {"first", 10, nil, 0},
		"after a large write":  {large + large, 40, nil, 0},
		"a little more":        {"first", 40, func(g *gatedStream) wire.Packet { return g.publish("more") }, moment},
		"enough":               {"first", 40, func(g *gatedStream) wire.Packet { return g.publish(large) }, 0},
		"a message that is acknowledged": {"first", 40, func(g *gatedStream) wire.Packet {
			PublishAsync(g.t, g.client, "more", 1)
			return Pub(1, 1, "more")
		}, 0},
		"a message at QoS 0 whose end is told": {"first", 40, func(g *gatedStream) wire.Packet {
			PublishAsync(g.t, g.client, "more", 0)
			return Pub(0, 0, "more")
		}, 0},
		"a request": {"first", 40, func(g *gatedStream) wire.Packet {
			go g.client.Ping(g.t.Context())
			return &wire.Pingreq{}
		}, 0},
		"the end": {"first", 40, func(g *gatedStream) wire.Packet {
			go g.client.Close()
			return &wire.Disconnect{SessionExpiryInterval: new(uint32)}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := openGated(t)
				start := time.Now()
				sent := g.during(c.first, c.burst)
				if c.next != nil {
					sent = append(sent, c.next(g))
				}
				g.conn.Want(sent...)
				require.Equal(t, c.takes, time.Since(start))
			})
		})
	}
}

func TestTheWriterGathersNoMoreAfterAWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := openGated(t)
		start := time.Now()
		sent := g.during("first", 40)
		PublishAsync(t, g.client, "more", 1)
		g.conn.Want(append(sent, Pub(1, 1, "more"))...)
		g.conn.Send(&wire.Puback{PacketID: 1})
		g.conn.Want(g.during("first", 40)...)
		require.Zero(t, time.Since(start))
	})
}
