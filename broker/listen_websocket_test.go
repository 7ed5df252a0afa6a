package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/wire"
)

// dialWebSocket returns a script over a WebSocket.
func dialWebSocket(t *testing.T, url string, v wire.Version, o *websocket.DialOptions) (*script, *websocket.Conn) {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), url, o)
	require.NoError(t, err)
	t.Cleanup(func() { ws.CloseNow() })
	return overSocket(t, websocket.NetConn(context.Background(), ws, websocket.MessageBinary), v), ws
}

func offer(protocols ...string) *websocket.DialOptions {
	return &websocket.DialOptions{Subprotocols: protocols}
}

// served returns a broker behind an HTTP server and the server's URL.
func served(t *testing.T, cfg Config) (*Broker, string) {
	t.Helper()
	b := New(cfg)
	server := httptest.NewServer(b)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		server.Close()
	})
	return b, server.URL
}

func TestWebSocketThroughAnHTTPServer(t *testing.T) {
	for _, v := range versions {
		b, url := served(t, Config{})
		s, ws := dialWebSocket(t, url+"/any/path", v, offer("mqtt"))
		require.Equal(t, "mqtt", ws.Subprotocol()) // [MQTT-6.0.0-4]
		s.send(&wire.Connect{ClientID: "c", CleanStart: true})
		require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
		s.subscribe(filter("a", 1))
		publishAs(s, "b", "x", 2)
		// Far beyond the usual limit of a frame.
		big := strings.Repeat("x", 1<<20)
		s.send(message0("a", big))
		s.want(message0("a", big))
		require.True(t, b.Disconnect("c", wire.AdministrativeAction))
		s.ended(wire.AdministrativeAction)
	}
}

func TestPacketsLieInFramesAsTheyLike(t *testing.T) {
	_, url := served(t, Config{})
	s, ws := dialWebSocket(t, url, wire.V5, offer("mqtt"))
	var b []byte
	for _, p := range []wire.Packet{&wire.Connect{ClientID: "c", CleanStart: true}, &wire.Pingreq{}, &wire.Pingreq{}} {
		b, _ = p.Append(b, wire.V5)
	}
	for _, frame := range [][]byte{b[:3], {}, b[3 : len(b)-1], b[len(b)-1:]} {
		require.NoError(t, ws.Write(t.Context(), websocket.MessageBinary, frame))
	}
	require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
	s.want(&wire.Pingresp{}, &wire.Pingresp{})
}

func TestTextFrameEndsTheConnection(t *testing.T) {
	b, url := served(t, Config{})
	s, ws := dialWebSocket(t, url, wire.V5, offer("mqtt"))
	s.send(&wire.Connect{ClientID: "c", CleanStart: true})
	receive[*wire.Connack](s)
	require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte{0xc0, 0}))
	_, err := s.next()
	require.Error(t, err)
	require.Zero(t, b.Stats().Sessions)
}

func TestWebSocketSubprotocols(t *testing.T) {
	_, url := served(t, Config{})
	for _, test := range []struct{ offered, want string }{
		{"mqtt", "mqtt"},
		{"mqttv3.1,mqtt", "mqtt"},
		{"chat,mqtt", "mqtt"},
		{"mqttv3.1", "mqttv3.1"},
	} {
		_, ws := dialWebSocket(t, url, wire.V5, offer(strings.Split(test.offered, ",")...))
		require.Equal(t, test.want, ws.Subprotocol())
	}
	for _, offered := range [][]string{nil, {"chat"}} {
		_, response, err := websocket.Dial(t.Context(), url, offer(offered...))
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, response.StatusCode) // [MQTT-6.0.0-3]
	}
}

func TestPagesOfOtherHostsNeedPermission(t *testing.T) {
	for pattern, want := range map[string]int{"": http.StatusForbidden, "*.example.com": http.StatusSwitchingProtocols} {
		_, url := served(t, Config{Origins: []string{pattern}})
		o := offer("mqtt")
		o.HTTPHeader = http.Header{"Origin": {"https://app.example.com"}}
		ws, response, _ := websocket.Dial(t.Context(), url, o)
		require.Equal(t, want, response.StatusCode)
		if ws != nil {
			require.NoError(t, ws.CloseNow())
		}
	}
}

func TestHandlerServesOtherMachinesOnlyWithAuthenticator(t *testing.T) {
	request := httptest.NewRequest("GET", "/", nil)
	far := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	for _, local := range []any{nil, far} {
		w := httptest.NewRecorder()
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, local)
		New(Config{}).ServeHTTP(w, request.WithContext(ctx))
		require.Equal(t, http.StatusForbidden, w.Code)
		w = httptest.NewRecorder()
		New(Config{Authenticators: []Authenticator{AllowAll{}}}).ServeHTTP(w, request.WithContext(ctx))
		require.Equal(t, http.StatusBadRequest, w.Code) // gets further
	}
}

func TestSilentWebSocketIsToldSo(t *testing.T) {
	_, url := served(t, Config{KeepAliveMaximum: time.Second})
	s, _ := dialWebSocket(t, url, wire.V5, offer("mqtt"))
	s.send(&wire.Connect{ClientID: "c", CleanStart: true})
	receive[*wire.Connack](s)
	s.ended(wire.KeepAliveTimeout)
}

func TestStalledWebSocketDoesNotHoldUpClose(t *testing.T) {
	b, url := served(t, Config{})
	_, ws := dialWebSocket(t, url, wire.V5, offer("mqtt"))
	s := overSocket(t, websocket.NetConn(context.Background(), ws, websocket.MessageBinary), wire.V5)
	s.send(&wire.Connect{ClientID: "c", CleanStart: true})
	receive[*wire.Connack](s)
	s.subscribe(filter("#", 0))
	for range 64 { // more than the kernel takes
		require.NoError(t, b.Publish(message0("a", string(make([]byte, 1<<18)))))
	}
	start := time.Now()
	require.NoError(t, b.Close())
	require.Less(t, time.Since(start), 10*time.Second)
}

func TestRequestsThatDoNotComeAreBounded(t *testing.T) {
	b := New(Config{Connections: 2})
	defer b.Close()
	addr, err := b.Listen(t.Context(), "ws", "127.0.0.1:0")
	require.NoError(t, err)
	var conns []net.Conn
	connect := func() net.Conn {
		nc, err := net.Dial("tcp", addr.String())
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		require.NoError(t, nc.SetReadDeadline(time.Now().Add(5*time.Second)))
		return nc
	}
	for range 2 {
		conns = append(conns, connect())
	}
	_, err = connect().Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, uint64(1), b.Stats().Refused)

	// Those that are over, or WebSockets, no longer count.
	for _, nc := range conns {
		require.NoError(t, nc.(*net.TCPConn).CloseWrite())
		_, err := io.Copy(io.Discard, nc)
		require.NoError(t, err)
	}
	url := "ws://" + addr.String()
	require.Eventually(t, func() bool { // the server notices a little later
		ws, _, err := websocket.Dial(t.Context(), url, offer("mqtt"))
		return err == nil && ws.CloseNow() == nil
	}, 5*time.Second, time.Millisecond)
	for range 3 {
		s, _ := dialWebSocket(t, url, wire.V5, offer("mqtt"))
		s.send(&wire.Connect{ClientID: "c", CleanStart: true})
		require.Contains(t, []wire.ReasonCode{wire.Success, wire.ServerBusy}, receive[*wire.Connack](s).ReasonCode)
	}
}

func TestHooksSeeCertificates(t *testing.T) {
	certificate := authority.SelfSigned(t, "localhost")
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Leaf)
	var seen Login
	b := New(Config{
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
		Authenticators: []Authenticator{AuthenticatorFunc(func(_ context.Context, l *Login) Decision {
			seen = *l
			return Allow()
		})},
	})
	defer b.Close()
	client := &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{certificate}}
	for network, dial := range map[string]func(address string) *script{
		"tls": func(address string) *script {
			nc, err := tls.Dial("tcp", address, client)
			require.NoError(t, err)
			return overSocket(t, nc, wire.V5)
		},
		"wss": func(address string) *script {
			o := offer("mqtt")
			o.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: client}}
			o.HTTPHeader = http.Header{"Cookie": {"token=abc"}}
			s, _ := dialWebSocket(t, "wss://"+address, wire.V5, o)
			return s
		},
	} {
		addr, err := b.Listen(t.Context(), network, "127.0.0.1:0")
		require.NoError(t, err)
		s := dial(addr.String())
		s.send(&wire.Connect{ClientID: "c", CleanStart: true})
		receive[*wire.Connack](s)
		require.Equal(t, certificate.Leaf.Raw, seen.TLS.PeerCertificates[0].Raw, network)
		require.Equal(t, "127.0.0.1", seen.RemoteAddr.(*net.TCPAddr).IP.String(), network)
		if network == "wss" {
			cookie, err := seen.Request.Cookie("token")
			require.NoError(t, err)
			require.Equal(t, "abc", cookie.Value)
		}
	}
}

func TestListenNeedsTLSForSecureNetworks(t *testing.T) {
	b := New(Config{})
	defer b.Close()
	for _, network := range []string{"tls", "wss"} {
		_, err := b.Listen(t.Context(), network, "127.0.0.1:0")
		require.ErrorContains(t, err, "Config.TLS")
	}
	_, err := b.Listen(t.Context(), "carrier pigeon", "127.0.0.1:0")
	require.Error(t, err)
}
