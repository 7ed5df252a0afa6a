package clienttest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// proxied is a client's configuration and the proxy's listener.
func proxied(t *testing.T, proxy string) (mqtt.Config, *pipe.Listener) {
	l := pipe.Listen(0)
	t.Cleanup(func() { l.Close() })
	return mqtt.Config{ClientID: "c1", Version: mqtt.V5, KeepAlive: -1, Proxy: proxy,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			require.Equal(t, "tcp", network)
			require.Equal(t, "proxy.example:3128", address)
			return l.Dial(ctx)
		}}, l
}

// tunnelled takes the CONNECT of a client and leads it to srv. early goes out
// together with the answer.
func tunnelled(t *testing.T, nc net.Conn, srv *mqtttest.Server, early string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(nc))
	require.NoError(t, err)
	back, err := srv.Dial(t.Context(), "", "")
	require.NoError(t, err)
	_, err = io.WriteString(nc, "HTTP/1.1 200 Connection established\r\nX-Via: test\r\n\r\n"+early)
	require.NoError(t, err)
	go Relay(nc, back)
	return r
}

func TestHTTPProxy(t *testing.T) {
	for url, want := range map[string]string{
		"mqtt://broker.example":    "broker.example:1883",
		"mqtt://[::1]:7":           "[::1]:7",
		"mqtt://user:pw@127.0.0.1": "127.0.0.1:1883",
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg, l := proxied(t, "http://us%20er:p%40ss@proxy.example:3128")
			d := Connect(t, url, cfg)
			nc, err := l.Accept()
			require.NoError(t, err)
			r := tunnelled(t, nc, srv, "")
			require.Equal(t, http.MethodConnect, r.Method)
			require.Equal(t, want, r.RequestURI)
			require.Equal(t, want, r.Host)
			require.Equal(t, "Basic dXMgZXI6cEBzcw==", r.Header.Get("Proxy-Authorization"))
			srv.Connected(&wire.Connack{})
			d.Client(t)
		})
	}
}

// A server that speaks before it is asked is at fault, but it is heard.
func TestBytesBehindTheAnswerOfAProxyAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, l := proxied(t, "http://proxy.example:3128")
		d := Connect(t, "mqtt://host", cfg)
		nc, err := l.Accept()
		require.NoError(t, err)
		require.Empty(t, tunnelled(t, nc, srv, "\x20\x03\x00\x00\x00").Header.Get("Proxy-Authorization"))
		srv.Accept().WantConnect()
		d.Client(t)
	})
}

func TestWebSocketThroughAnHTTPProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		web := pipe.Listen(0)
		Gateway(t, web, srv.Dial)
		cfg, l := proxied(t, "http://proxy.example:3128")
		d := Connect(t, "ws://host/mqtt", cfg)
		nc, err := l.Accept()
		require.NoError(t, err)
		r, err := http.ReadRequest(bufio.NewReader(nc))
		require.NoError(t, err)
		require.Equal(t, "host:80", r.RequestURI)
		back, err := web.Dial(t.Context())
		require.NoError(t, err)
		io.WriteString(nc, "HTTP/1.0 200 OK\r\n\r\n")
		go Relay(nc, back)
		srv.Connected(&wire.Connack{})
		d.Client(t)
	})
}

func TestHTTPProxyThatDoesNotHelp(t *testing.T) {
	for answer, text := range map[string]string{
		"HTTP/1.1 407 Give\r\n\r\n":                                          "proxy answered CONNECT with 407 Proxy Authentication Required",
		"HTTP/1.1 502 \r\nContent-Length: 9\r\n\r\n":                         "502 Bad Gateway",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n": "more than 65536 bytes",
		"SSH-2.0\r\n\r\n": "malformed HTTP",
		"":                "unexpected EOF",
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg, l := proxied(t, "http://user:hidden@proxy.example:3128")
			cfg.Version = mqtt.Auto
			d := Connect(t, "mqtt://host", cfg)
			nc, err := l.Accept()
			require.NoError(t, err)
			_, err = http.ReadRequest(bufio.NewReader(nc))
			require.NoError(t, err)
			Begin(func() error {
				io.WriteString(nc, answer)
				return nc.(interface{ CloseWrite() error }).CloseWrite()
			})
			err = d.Call.Wait()
			require.ErrorContains(t, err, "proxy: ")
			require.ErrorContains(t, err, text)
			require.NotContains(t, err.Error(), "hidden")
			require.Less(t, len(err.Error()), 300)
			nc.Close()
		})
	}
}

func TestConnectTimeoutCoversTheProxy(t *testing.T) {
	for _, proxy := range []string{"http://proxy.example:3128", "socks5://proxy.example:3128"} {
		synctest.Test(t, func(t *testing.T) {
			cfg, l := proxied(t, proxy)
			cfg.ConnectTimeout = 3 * time.Second
			begun := time.Now()
			d := Connect(t, "mqtt://host", cfg)
			_, err := l.Accept()
			require.NoError(t, err)
			require.ErrorContains(t, d.Call.Wait(), "connect timeout")
			require.Equal(t, 3*time.Second, time.Since(begun))
		})
	}
}

func TestProxyThatSpeaksTLS(t *testing.T) {
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	defer https.Close()
	var verified int
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, l := proxied(t, "https://u:p@example.com:3128")
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }
		// What is meant for the server: a name, and a callback.
		cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "server.example",
			VerifyConnection: func(tls.ConnectionState) error { verified++; return nil }}
		cfg.TLS.RootCAs.AddCert(https.Certificate())
		d := Connect(t, "mqtt://host", cfg)
		nc, err := l.Accept()
		require.NoError(t, err)
		var name string
		tc := tls.Server(nc, &tls.Config{Certificates: https.TLS.Certificates, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			name = h.ServerName
			return nil, nil
		}})
		require.Equal(t, "host:1883", tunnelled(t, tc, srv, "").RequestURI)
		srv.Connected(&wire.Connack{})
		d.Client(t)
		require.Equal(t, "example.com", name)
		require.Zero(t, verified)
	})
}

// RFC 1928 and 1929
func TestSOCKS5Proxy(t *testing.T) {
	for _, scheme := range []string{"socks5", "socks5h"} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg, l := proxied(t, scheme+"://user:pass@proxy.example:3128")
			d := Connect(t, "mqtt://broker.example", cfg)
			nc, err := l.Accept()
			require.NoError(t, err)
			talk(t, nc, "\x05\x02\x00\x02", "\x05\x02")
			talk(t, nc, "\x01\x04user\x04pass", "\x01\x00")
			talk(t, nc, "\x05\x01\x00\x03\x0ebroker.example\x07\x5b", "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
			back, err := srv.Dial(t.Context(), "", "")
			require.NoError(t, err)
			go Relay(nc, back)
			srv.Connected(&wire.Connack{})
			d.Client(t)
		})
	}
}

func talk(t *testing.T, nc net.Conn, want, answer string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
	_, err = io.WriteString(nc, answer)
	require.NoError(t, err)
}

func TestSOCKS5ProxyThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, l := proxied(t, "socks5://user:hidden@proxy.example:3128")
		d := Connect(t, "mqtt://host", cfg)
		nc, err := l.Accept()
		require.NoError(t, err)
		talk(t, nc, "\x05\x02\x00\x02", "\x05\x02")
		talk(t, nc, "\x01\x04user\x06hidden", "\x01\x01")
		err = d.Call.Wait()
		require.ErrorContains(t, err, "authentication failed")
		require.NotContains(t, err.Error(), "hidden")
	})
}

func TestUnixSocketsNeedNoProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Proxy = "http://proxy.example"
		d := Connect(t, "unix:///run/mqtt.sock", cfg)
		srv.Connected(&wire.Connack{})
		d.Client(t)
	})
}

// net/http reads the environment once per process, so each case has its own.
func TestProxyOfTheEnvironment(t *testing.T) {
	if os.Getenv("MQTT_TEST_PROXY_URL") != "" {
		t.Run("inside", proxyOfTheEnvironment)
		return
	}
	for _, test := range []struct{ env, url, text string }{
		{"HTTP_PROXY=http://user:hidden@proxy.example", "mqtt://host", "dialled proxy.example:80"},
		{"HTTPS_PROXY=http://proxy.example:7", "mqtts://host", "dialled proxy.example:7"},
		{"HTTPS_PROXY=http://proxy.example:7", "mqtt://host", "dialled host:1883"},
		{"HTTPS_PROXY=socks5://proxy.example", "wss://host", "dialled proxy.example:1080"},
		{"HTTP_PROXY=proxy.example:8 NO_PROXY=.internal,10.0.0.0/8", "mqtt://host", "dialled proxy.example:8"},
		{"HTTP_PROXY=proxy.example:8 NO_PROXY=.internal,10.0.0.0/8", "mqtt://a.internal", "dialled a.internal:1883"},
		{"HTTP_PROXY=proxy.example:8 NO_PROXY=.internal,10.0.0.0/8", "mqtt://10.1.2.3", "dialled 10.1.2.3:1883"},
		{"HTTP_PROXY=proxy.example:8", "mqtt://localhost", "dialled localhost:1883"},
		{"HTTP_PROXY=ftp://user:hidden@proxy.example", "mqtt://host", `proxy of the environment: scheme "ftp" is not`},
		{"HTTP_PROXY=http://user:hid/den@proxy.example", "mqtt://host", "proxy of the environment: is not credentials, a host and a port"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyOfTheEnvironment$")
		cmd.Env = append(os.Environ(), "MQTT_TEST_PROXY_URL="+test.url, "MQTT_TEST_PROXY_TEXT="+test.text)
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
			cmd.Env = append(cmd.Env, name+"=", strings.ToLower(name)+"=")
		}
		cmd.Env = append(cmd.Env, strings.Fields(test.env)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %s: %s", test.env, test.url, out)
	}
}

func proxyOfTheEnvironment(t *testing.T) {
	cfg := mqtt.Config{Proxy: mqtt.ProxyFromEnvironment, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		return nil, &net.AddrError{Err: "dialled " + address}
	}}
	_, err := mqtt.Connect(t.Context(), os.Getenv("MQTT_TEST_PROXY_URL"), cfg)
	require.ErrorContains(t, err, os.Getenv("MQTT_TEST_PROXY_TEXT"))
	require.NotContains(t, err.Error(), "hid")
}

func TestLocalAddrIsWhereConnectionsComeFrom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fixed := free.Addr().String()
	require.NoError(t, free.Close())
	for _, local := range []string{"127.0.0.1", "127.0.0.1:0", fixed, fixed} {
		d := Connect(t, "mqtt://"+l.Addr().String(), mqtt.Config{LocalAddr: local, Version: mqtt.V5})
		nc, err := l.Accept()
		require.NoError(t, err)
		from := nc.RemoteAddr().String()
		require.True(t, strings.HasPrefix(from, "127.0.0.1:"), from)
		if local == fixed {
			require.Equal(t, fixed, from)
		}
		nc.Close()
		require.Error(t, d.Call.Wait())
	}
}
