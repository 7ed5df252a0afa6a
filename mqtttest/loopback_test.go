package mqtttest_test

import (
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// What sockets do differently from connections in memory.

// dialLoopback opens a bare 5.0 connection on the broker's port.
func dialLoopback(t *testing.T, b *mqtttest.Broker, id string) net.Conn {
	t.Helper()
	u, err := url.Parse(b.URL())
	require.NoError(t, err)
	nc, err := net.Dial("tcp", u.Host)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(10*time.Second)))
	write(t, nc, wire.V311, &wire.Connect{ClientID: id, CleanStart: true})
	return nc
}

func TestCutOnASocketIsExactToTheByte(t *testing.T) {
	for n := 1; n <= 4; n++ {
		b := mqtttest.NewBroker(t)
		b.CutAt(mqtttest.Match{Type: wire.TypeConnack}, n)
		nc := dialLoopback(t, b, "bare")
		// Unread input would make the system reset the connection and destroy what is
		// on its way.
		write(t, nc, wire.V311, &wire.Pingreq{})
		got, err := io.ReadAll(nc)
		require.NoError(t, err)
		require.Equal(t, "\x20\x02\x00\x00"[:n], string(got))
		require.NoError(t, nc.Close())
		b.WantNoLeak()
	}
}

func TestDropOnASocketIsAReset(t *testing.T) {
	b := mqtttest.NewBroker(t)
	nc := dialLoopback(t, b, "bare")
	b.WantConnected("bare")
	_, err := io.ReadFull(nc, make([]byte, 4))
	require.NoError(t, err)
	b.Drop()
	_, err = nc.Read(make([]byte, 1))
	require.ErrorContains(t, err, "reset")
	b.WantNoLeak()
}

func TestClientThatDoesNotCloseIsClosed(t *testing.T) {
	b := mqtttest.NewBroker(t)
	nc := dialLoopback(t, b, "bare")
	b.WantConnected("bare")
	b.Stop()
	got, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Equal(t, "\x20\x02\x00\x00", string(got))
	// It goes on as if nothing had happened, like to a server that has closed.
	write(t, nc, wire.V311, &wire.Pingreq{})
	b.WantDisconnected("bare")
	b.WantNoLeak()
}

func TestHalfOpenOnASocket(t *testing.T) {
	b := mqtttest.NewBroker(t)
	nc := dialLoopback(t, b, "bare")
	b.WantConnected("bare")
	b.HalfOpen()
	write(t, nc, wire.V311, &wire.Pingreq{}, &wire.Publish{Topic: "t", Payload: []byte("taken")})
	second := dialLoopback(t, b, "second") // accepted, and no more
	write(t, second, wire.V311, &wire.Pingreq{})
	b.Heal()
	b.WantPublished("t", "taken")
	got := make([]byte, 6)
	_, err := io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, "\x20\x02\x00\x00\xd0\x00", string(got))
}
