package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// overSocket returns a script over a real connection, on which answers take real
// time.
func overSocket(t *testing.T, nc net.Conn, v wire.Version) *script {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	return &script{t: t, net: patientConn{nc}, version: v, reader: wire.NewReader(nc, v, 0), decoder: wire.Decoder{Version: v}}
}

// patientConn waits as long as it takes, within reason.
type patientConn struct{ net.Conn }

func (c patientConn) SetReadDeadline(time.Time) error {
	return c.Conn.SetReadDeadline(time.Now().Add(10 * time.Second))
}

func TestListeners(t *testing.T) {
	certificate := authority.SelfSigned(t, "localhost")
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	secure := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	webSocket := func(url string) (net.Conn, error) {
		o := offer("mqtt")
		transport := &http.Transport{TLSClientConfig: secure}
		defer transport.CloseIdleConnections()
		o.HTTPClient = &http.Client{Transport: transport}
		ws, _, err := websocket.Dial(t.Context(), url, o)
		if err != nil {
			return nil, err
		}
		return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
	}
	socket := filepath.Join(t.TempDir(), "mqtt")
	for network, dial := range map[string]func(address string) (net.Conn, error){
		"tcp":  func(address string) (net.Conn, error) { return net.Dial("tcp", address) },
		"tls":  func(address string) (net.Conn, error) { return tls.Dial("tcp", address, secure) },
		"unix": func(address string) (net.Conn, error) { return net.Dial("unix", address) },
		"ws":   func(address string) (net.Conn, error) { return webSocket("ws://" + address) },
		"wss":  func(address string) (net.Conn, error) { return webSocket("wss://" + address) },
	} {
		t.Run(network, func(t *testing.T) {
			before := runtime.NumGoroutine()
			b := New(Config{TLS: &tls.Config{Certificates: []tls.Certificate{certificate}}})
			address := "127.0.0.1:0"
			if network == "unix" {
				address = socket
			}
			addr, err := b.Listen(t.Context(), network, address)
			require.NoError(t, err)
			nc, err := dial(addr.String())
			require.NoError(t, err)
			s := overSocket(t, nc, wire.V5)
			s.send(&wire.Connect{ClientID: "c", CleanStart: true})
			require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
			s.subscribe(filter("a", 1))
			big := strings.Repeat("x", 1<<20)
			s.send(message0("a", big))
			s.want(message0("a", big))
			closed := make(chan error, 1)
			go func() { closed <- b.Close() }()
			s.ended(wire.ServerShuttingDown)
			require.NoError(t, <-closed)
			// Goroutines that are done may still be on their way out.
			for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
				require.True(t, time.Now().Before(deadline), "%d goroutines, before %d", runtime.NumGoroutine(), before)
			}
		})
	}
}

// serveMemory serves an in-memory listener until stop is called.
func serveMemory(t *testing.T, b *Broker) (ln *MemoryListener, stop func() error) {
	t.Helper()
	ln = NewMemoryListener(0)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx, ln) }()
	return ln, func() error {
		cancel()
		return <-served
	}
}

func over(t *testing.T, ln *MemoryListener) *script {
	t.Helper()
	nc, err := ln.Dial(t.Context(), "tcp", "anywhere")
	require.NoError(t, err)
	return &script{t: t, net: nc, version: wire.V5, reader: wire.NewReader(nc, wire.V5, 0), decoder: wire.Decoder{Version: wire.V5}}
}

func TestSessionsOutliveTheirListener(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		ln, stop := serveMemory(t, b)
		other := clean(t, b, "other") // not of this listener
		s := over(t, ln)
		s.send(durableConnect(wire.V5, "c"))
		require.False(t, receive[*wire.Connack](s).SessionPresent)
		s.subscribe(filter("a", 1))
		waiting := over(t, ln)
		synctest.Wait()

		require.NoError(t, stop())
		s.ended(wire.ServerShuttingDown)
		waiting.closed()
		_, err := ln.Dial(t.Context(), "", "")
		require.ErrorIs(t, err, pipe.ErrRefused)
		publishAs(other, "a", "meanwhile", 1)

		ln, stop = serveMemory(t, b)
		s = over(t, ln)
		s.send(durableConnect(wire.V5, "c"))
		require.True(t, receive[*wire.Connack](s).SessionPresent)
		require.Equal(t, "meanwhile", string(receiveAs(s).Payload))
		synctest.Wait()
		require.NoError(t, stop())
	})
}

func TestFailingListenerEndsServe(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		ln := pipe.Listen(0)
		served := make(chan error, 1)
		go func() { served <- b.Serve(t.Context(), ln) }()
		synctest.Wait()
		require.NoError(t, ln.Close())
		require.ErrorIs(t, <-served, net.ErrClosed)
	})
}

func TestDropConnectionsLeavesSessions(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		silent := dial(t, b, wire.V5)
		b.DropConnections()
		require.Zero(t, b.Stats().Connections)
		s.closed() // without a word
		silent.closed()
		_, ack := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		require.True(t, ack.SessionPresent)
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		ln, _ := serveMemory(t, b)
		var scripts []*script
		for _, v := range versions {
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c" + v.String(), Will: &wire.Will{Topic: "a"}})
			s.subscribe(filter("#", 0))
			scripts = append(scripts, s)
		}
		away, _ := join(t, b, wire.V5, withWill(5, 60)) // leaves timers behind
		away.cut()
		stuck := clean(t, b, "stuck") // never reads
		stuck.subscribe(filter("#", 0))
		dial(t, b, wire.V5)
		require.NoError(t, b.Publish(message0("x", string(make([]byte, 40_000)))))
		require.NoError(t, b.Close())
		for _, s := range scripts {
			require.Equal(t, "x", receive[*wire.Publish](s).Topic)
			s.ended(wire.ServerShuttingDown)
		}
		require.NoError(t, b.Close(), "closing twice is harmless")

		_, err := b.Dial(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		_, err = b.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, b.Serve(t.Context(), pipe.Listen(0)), ErrClosed)
		require.ErrorIs(t, b.Publish(message0("a", "")), ErrClosed)
		near, far := pipe.New(0)
		require.ErrorIs(t, b.ServeConn(far), ErrClosed)
		_, err = near.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		_, err = ln.Dial(t.Context(), "", "")
		require.Error(t, err)
		advance(time.Hour)
	})
}

func TestCloseInterruptsTheHook(t *testing.T) {
	cfg := Config{Authenticators: []Authenticator{AuthenticatorFunc(func(ctx context.Context, _ *Login) Decision {
		<-ctx.Done()
		return Deny(wire.ServerUnavailable, "")
	})}}
	run(t, cfg, func(t *testing.T, b *Broker) {
		s := dial(t, b, wire.V5)
		s.send(&wire.Connect{ClientID: "c"})
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.Close())
		require.Zero(t, time.Since(start))
	})
}

func TestDisconnectTellsTheReason(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		require.False(t, b.Disconnect("nobody", wire.ServerBusy))
		require.True(t, b.Disconnect("c", wire.ServerBusy))
		require.False(t, b.Disconnect("c", wire.ServerBusy))
		s.ended(wire.ServerBusy)
	})
}

func TestPublishRefusesWildcards(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		require.Error(t, b.Publish(message0("a/+", "x")))
	})
}

func TestReasonReachesAClientThatIsStillSending(t *testing.T) {
	b := New(Config{})
	defer b.Close()
	addr, err := b.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nc, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	s := overSocket(t, nc, wire.V5)
	s.send(&wire.Connect{ClientID: "c", CleanStart: true})
	receive[*wire.Connack](s)
	// Behind the fault comes more than the broker reads.
	s.write(append([]byte{0x80, 0}, make([]byte, 30_000)...))
	require.Equal(t, wire.MalformedPacket, receive[*wire.Disconnect](s).ReasonCode)
	_, err = s.next()
	require.Error(t, err)
	require.False(t, errors.Is(err, context.DeadlineExceeded))
}
