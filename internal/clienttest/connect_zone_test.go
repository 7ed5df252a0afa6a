package clienttest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// TestZoneStaysAtHome connects to a link-local address in every way. It is dialled
// with its zone, and nobody else hears of that.
func TestZoneStaysAtHome(t *testing.T) {
	b := broker.New(broker.Config{})
	defer b.Close()
	hosts := make(chan string, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		b.ServeHTTP(w, r)
	})
	web, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer web.Close()
	defer secure.Close()
	for name, test := range map[string]struct{ url, dialled, host string }{
		"mqtt":               {"mqtt://[fe80::1%25eth0]", "[fe80::1%eth0]:1883", ""},
		"mqtt, not escaped":  {"mqtt://[fe80::1%eth0]:1884", "[fe80::1%eth0]:1884", ""},
		"name with spaces":   {"mqtt://[fe80::1%25vEthernet%20(WSL)]", "[fe80::1%vEthernet (WSL)]:1883", ""},
		"spaces as they are": {"mqtt://[fe80::1%vEthernet (WSL)]", "[fe80::1%vEthernet (WSL)]:1883", ""},
		"number":             {"mqtt://u:p%25@[fe80::1%12]", "[fe80::1%12]:1883", ""},
		"ws":                 {"ws://[fe80::1%25eth0]:8080/mqtt", "[fe80::1%eth0]:8080", "[fe80::1]:8080"},
		"ws, usual port":     {"ws://[fe80::1%25eth0]/mqtt?a=%25b", "[fe80::1%eth0]:80", "[fe80::1]"},
		"wss":                {"wss://[fe80::1%25eth0]:8443/mqtt", "[fe80::1%eth0]:8443", "[fe80::1]:8443"},
	} {
		t.Run(name, func(t *testing.T) {
			var dialled string
			cfg := mqtt.Config{
				Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
					dialled = address
					switch {
					case test.host == "":
						return b.Dial(ctx)
					case strings.HasPrefix(test.url, "wss"):
						return net.Dial("tcp", secure.Listener.Addr().String())
					}
					return net.Dial("tcp", web.Listener.Addr().String())
				},
				TLS: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
					require.NotContains(t, s.ServerName, "%")
					return nil
				}},
				Attempt: func(_ context.Context, a *mqtt.Attempt) error {
					_, err := url.Parse(a.Server)
					require.NoError(t, err)
					a.Server += "" // the same
					return nil
				},
			}
			client, err := mqtt.Connect(t.Context(), test.url, cfg)
			require.NoError(t, err)
			defer client.Close()
			require.Equal(t, test.dialled, dialled)
			if test.host != "" {
				require.Equal(t, test.host, <-hosts)
			}
		})
	}
}

func TestURLOfAnAttemptCanBeGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		for _, server := range []string{"mqtt://[fe80::1%25eth0]:1", "mqtt://[fe80::1%25vEthernet%20(WSL)]:1", "unix:///run/a b%2Fc/100%25", "ws+unix:///run/50%25:/mqtt"} {
			cfg := Quiet(srv)
			var dialled []string
			cfg.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
				dialled = append(dialled, address)
				return nil, ErrUnreachable
			}
			given := ""
			cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
				given = a.Server
				return nil
			}
			_, err := mqtt.Connect(t.Context(), server, cfg)
			require.ErrorIs(t, err, ErrUnreachable)
			cfg.Attempt = nil
			_, err = mqtt.Connect(t.Context(), given, cfg)
			require.ErrorIs(t, err, ErrUnreachable, given)
			require.Equal(t, dialled[0], dialled[1])
		}
	})
}

func TestZoneIsNotToldToAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan *http.Request, 1)
		s := NewWebServer(t)
		cfg := s.Config()
		cfg.Proxy = "http://[fe80::2%25eth0]:3128"
		dial := cfg.Dial
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			require.Equal(t, "[fe80::2%eth0]:3128", address)
			return dial(ctx, network, address)
		}
		d := Connect(t, "mqtt://[fe80::1%25eth0]", cfg)
		asked <- s.Accept().Request
		require.Equal(t, "[fe80::1]:1883", (<-asked).Host)
		s.Listener.Close()
		d.Call.Wait()
	})
}

func TestNeighbourThatIsNamedSharesTheZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := mqtttest.NewServer(t, wire.V5), mqtttest.NewServer(t, wire.V5)
		w := &World{Servers: map[string]*mqtttest.Server{"[fe80::1%eth0]:1883": a, "[fe80::2%eth0]:1883": b}}
		d := Connect(t, "mqtt://[fe80::1%25eth0]", w.Config())
		a.Connected(Use("[fe80::2]"))
		b.Connected(&wire.Connack{})
		d.Client(t)
		require.Equal(t, []string{"[fe80::1%eth0]:1883", "[fe80::2%eth0]:1883"}, w.Took())
	})
}

func TestSRVRecordsBelongToADomain(t *testing.T) {
	_, err := mqtt.Connect(t.Context(), "mqtt+srv://[fe80::1%25eth0]", mqtt.Config{})
	require.ErrorIs(t, err, mqtt.ErrInvalid)
}
