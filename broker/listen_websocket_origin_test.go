package broker

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/wire"
)

// handshakeAs asks for a WebSocket as a browser would that has reached url for a page of
// origin, under the name host. It returns the status of the answer.
func handshakeAs(t *testing.T, url, host string, origins ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if host != "" {
		r.Host = host
	}
	r.Header = http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Protocol": {"mqtt"},
		"Origin": origins,
	}
	if len(origins) == 0 {
		r.Header.Del("Origin")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func TestWhoMayOpenAWebSocket(t *testing.T) {
	for _, test := range []struct {
		name, host string
		origin     []string
		origins    []string // Config.Origins
		closed     bool     // there is an authenticator
		want       bool
	}{
		{name: "a program", want: true},
		{name: "a page of this host", host: "localhost:1883", origin: []string{"http://localhost:1883"}, want: true},
		{name: "in other letters", host: "LocalHost:1883", origin: []string{"http://localhost:1883"}, want: true},
		{name: "by address", host: "127.0.0.1:1883", origin: []string{"http://127.0.0.1:1883"}, want: true},
		{name: "by another loopback address", host: "127.9.9.9", origin: []string{"http://127.9.9.9"}, want: true},
		{name: "by IPv6", host: "[::1]:1883", origin: []string{"http://[::1]:1883"}, want: true},
		{name: "a name in localhost", host: "app.localhost:80", origin: []string{"http://app.localhost"}, want: true},
		{name: "with the dot of the root", host: "localhost.:1883", origin: []string{"http://localhost.:1883"}, want: true},
		{name: "TLS in front", host: "localhost", origin: []string{"https://localhost:443"}, want: true},
		{name: "TLS in front that spells out the port", host: "localhost:443", origin: []string{"https://localhost"}, want: true},
		{name: "a page of another port", host: "localhost:1883", origin: []string{"http://localhost:3000"}},
		{name: "a page of another host", host: "localhost:1883", origin: []string{"https://evil.example"}},
		{name: "of another host, with authenticator", host: "localhost:1883", origin: []string{"https://evil.example"}, closed: true},
		{name: "a name that was made to lead here", host: "evil.example", origin: []string{"http://evil.example"}},
		{name: "with its port", host: "evil.example:1883", origin: []string{"http://evil.example:1883"}},
		{name: "with authenticator", host: "evil.example", origin: []string{"http://evil.example"}, closed: true},
		{name: "by TLS in front", host: "evil.example", origin: []string{"https://evil.example"}},
		{name: "looks like localhost", host: "localhost.evil.example", origin: []string{"http://localhost.evil.example"}},
		{name: "looks like an address", host: "127.0.0.1.evil.example", origin: []string{"http://127.0.0.1.evil.example"}},
		{name: "ends like localhost", host: "evillocalhost", origin: []string{"http://evillocalhost"}},
		{name: "the address of all", host: "0.0.0.0:1883", origin: []string{"http://0.0.0.0:1883"}},
		{name: "a page without host", host: "localhost", origin: []string{"null"}},
		{name: "a file", host: "localhost", origin: []string{"file://"}},
		{name: "no URL", host: "localhost", origin: []string{"http://local host"}},
		{name: "two origins", host: "localhost", origin: []string{"http://localhost", "http://evil.example"}},
		{name: "a program under another name, nobody asks who it is", host: "mqtt.example.com", want: true},
		{name: "a program under another name, through a proxy", host: "mqtt.example.com", closed: true, want: true},
		{name: "a page through a proxy", host: "mqtt.example.com", origin: []string{"https://mqtt.example.com"}, closed: true},
		{name: "a page through a proxy, permitted", host: "mqtt.example.com", origin: []string{"https://mqtt.example.com"}, origins: []string{"mqtt.example.com"}, closed: true, want: true},
		{name: "a proxy that changes Host", host: "127.0.0.1:1883", origin: []string{"https://mqtt.example.com"}, origins: []string{"mqtt.example.com"}, want: true},
		{name: "with port", host: "mqtt.example.com:8443", origin: []string{"https://mqtt.example.com:8443"}, origins: []string{"MQTT.example.com:*"}, want: true},
		{name: "by scheme", host: "localhost", origin: []string{"https://mqtt.example.com"}, origins: []string{"https://*.example.com"}, want: true},
		{name: "by another scheme", host: "localhost", origin: []string{"http://mqtt.example.com"}, origins: []string{"https://*.example.com"}},
		{name: "a program, name permitted", host: "mqtt.example.com:8443", origins: []string{"mqtt.example.com"}, want: true},
		{name: "a bad pattern", host: "evil.example", origin: []string{"http://evil.example"}, origins: []string{"["}},
		{name: "all", host: "evil.example", origin: []string{"http://evil.example"}, origins: []string{"*"}, want: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := Config{Origins: test.origins}
			if test.closed {
				cfg.Authenticators = []Authenticator{AllowAll{}}
			}
			_, url := served(t, cfg)
			want := http.StatusForbidden
			if test.want {
				want = http.StatusSwitchingProtocols
			}
			require.Equal(t, want, handshakeAs(t, url, test.host, test.origin...))
		})
	}
}

func TestNamesOfTheCertificateAreOurs(t *testing.T) {
	serverTLS := &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "localhost", "mqtt.example.com")}}
	b := New(Config{TLS: serverTLS})
	defer b.Close()
	addr, err := b.Listen(t.Context(), "wss", "127.0.0.1:0")
	require.NoError(t, err)
	name := "mqtt.example.com"
	require.Equal(t, http.StatusSwitchingProtocols, handshakeAs(t, "https://"+addr.String(), name, "https://"+name))
	require.Equal(t, http.StatusForbidden, handshakeAs(t, "https://"+addr.String(), "evil.example", "https://evil.example"))
}

// elsewhere is a listener that says that it can be reached from other machines.
type elsewhere struct{ net.Listener }

func (l elsewhere) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return farConn{nc}, err
}

func (l elsewhere) Addr() net.Addr { return farListener{}.Addr() }

func TestOtherAddressesHaveNamesThatWeDoNotKnow(t *testing.T) {
	b := New(Config{Authenticators: []Authenticator{AllowAll{}}})
	defer b.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { _ = b.ServeWebSocket(ctx, elsewhere{ln}) }()
	url := "http://" + ln.Addr().String()
	require.Equal(t, http.StatusSwitchingProtocols, handshakeAs(t, url, "mqtt.example.com", "http://mqtt.example.com"))
	require.Equal(t, http.StatusForbidden, handshakeAs(t, url, "mqtt.example.com", "http://evil.example"))
	require.Equal(t, http.StatusSwitchingProtocols, handshakeAs(t, url, "mqtt.example.com"))
}

func TestARefusedPageIsTold(t *testing.T) {
	_, url := served(t, Config{})
	s, _ := dialWebSocket(t, url, wire.V5, offer("mqtt"))
	s.send(&wire.Connect{ClientID: "c", CleanStart: true})
	require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
	require.Equal(t, http.StatusForbidden, handshakeAs(t, url, "evil.example", "http://evil.example"))
	s.subscribe(filter("a", 0)) // nobody else is hurt
}
