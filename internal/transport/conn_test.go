package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

// dialled returns the connection that o makes to the server at url, without an Upgrade.
func dialled(t *testing.T, url string, o Options) (*Conn, Server, error) {
	t.Helper()
	s, _, err := Parse(url)
	require.NoError(t, err)
	d, err := New(o)
	require.NoError(t, err)
	found, err := d.Endpoints(t.Context(), s)
	require.NoError(t, err)
	addrs, err := d.Addresses(t.Context(), found[0])
	require.NoError(t, err)
	c, _, _, err := d.Race(t.Context(), found[0], addrs)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, s, err
}

// inMemory returns Options that dial l.
func inMemory(l *pipe.Listener) Options {
	return Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }}
}

func TestOnlyABareSocketIsWrittenWithoutWaiting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, _, err := dialled(t, "mqtt://"+l.Addr().String(), Options{})
	require.NoError(t, err)
	require.Zero(t, c.TryWrite([]byte("early")), "before Poll")
	if !c.Poll(func() {}) {
		t.Skip("sockets wait on this system")
	}
	require.True(t, c.Direct())
	require.Equal(t, 5, c.TryWrite([]byte("hello")))
	require.EqualValues(t, 5, c.Sent())
	far, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	b, err := io.ReadAll(far)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	far.Close()
}

func TestWhatIsBelowTLSIsNotWrittenToDirectly(t *testing.T) {
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	c, s, err := dialled(t, "mqtts://"+web.Listener.Addr().String(), Options{})
	require.NoError(t, err)
	roots := web.Client().Transport.(*http.Transport).TLSClientConfig
	require.NoError(t, c.Upgrade(t.Context(), s.Host, Upgrade{Server: s, TLS: roots}))
	c.Poll(func() {})
	require.False(t, c.Direct())
	require.Zero(t, c.TryWrite([]byte("x")))
}

func TestFailedUpgradeClosesTheConnection(t *testing.T) {
	for _, url := range []string{"mqtts://host", "ws://host"} {
		l := pipe.Listen(0)
		c, s, err := dialled(t, url, inMemory(l))
		require.NoError(t, err)
		far, err := l.Accept()
		require.NoError(t, err)
		go func() {
			far.Read(make([]byte, 1000))
			far.Write([]byte("\x20\x02\x00\x00\r\n\r\n"))
		}()
		require.Error(t, c.Upgrade(t.Context(), s.Host, Upgrade{Server: s, TLS: &tls.Config{}}))
		require.ErrorIs(t, c.Close(), net.ErrClosed)
		far.Close()
	}
}

func TestServerThatSpeaksSomethingElseIsRecognised(t *testing.T) {
	for said, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n": "server speaks HTTP and not MQTT; did you mean ws://host:1883/mqtt?",
		"\x15\x03\x01\x00\x02":         "server speaks TLS and not MQTT; did you mean mqtts://host:1883?",
		"\x20\x02\x00\x00":             "EOF",
	} {
		l := pipe.Listen(0)
		c, s, err := dialled(t, "mqtt://host", inMemory(l))
		require.NoError(t, err)
		far, err := l.Accept()
		require.NoError(t, err)
		require.True(t, c.Silent())
		go func() {
			far.Write([]byte(said))
			far.Close()
		}()
		_, err = io.ReadAll(c)
		require.NoError(t, err)
		require.False(t, c.Silent())
		require.EqualError(t, c.Recognise(&s, io.EOF), want)
		require.Equal(t, want != "EOF", c.Foreign())
	}
}

func TestTimeoutCountsWhatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := errors.New("slow")
		ctx, cancel := WithTimeout(t.Context(), 10*time.Second, slow)
		defer cancel()
		l := pipe.Listen(0)
		d, err := New(inMemory(l))
		require.NoError(t, err)
		c, err := d.Dial(ctx, Endpoint{network: "tcp"}, "host:1")
		require.NoError(t, err)
		defer c.Close()
		far, err := l.Accept()
		require.NoError(t, err)
		defer far.Close()
		begun := time.Now()
		for range 5 { // 25,000 bytes earn 20 seconds
			time.Sleep(5 * time.Second)
			require.NoError(t, ctx.Err())
			far.Write(make([]byte, 5000))
			io.ReadFull(c, make([]byte, 5000))
		}
		<-ctx.Done()
		require.Equal(t, slow, context.Cause(ctx))
		require.WithinDuration(t, begun.Add(31*time.Second), time.Now(), time.Second)
	})
}

func TestOptionsThatCannotBe(t *testing.T) {
	for option, o := range map[string]Options{
		"LocalAddr": {LocalAddr: "eth0"},
		"Proxy":     {Proxy: "ftp://host"},
	} {
		_, err := New(o)
		wrong, ok := errors.AsType[*OptionError](err)
		require.True(t, ok)
		require.Equal(t, option, wrong.Option)
	}
}
