package clienttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

// secret is in every place where a secret can be. Parts of it look like what is
// not secret, so that a parser may take them for it.
const secret = "hunter2"

// logged makes cfg log everything, and returns what was logged.
func logged(cfg *mqtt.Config) *bytes.Buffer {
	text := new(bytes.Buffer)
	level := &slog.HandlerOptions{Level: slog.LevelDebug - 100}
	cfg.Logger = slog.New(slog.NewTextHandler(text, level))
	return text
}

func requireNoSecret(t *testing.T, what string, texts ...any) {
	t.Helper()
	for _, text := range texts {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			require.NotContains(t, fmt.Sprintf(format, text), secret, "%s printed with %s", what, format)
		}
	}
}

func TestURLsWithSecretsAreNotRepeated(t *testing.T) {
	for _, url := range []string{
		"mqtt://user:" + secret + "/x@host", "mqtt://user:" + secret + "#@host", "mqtt://user:" + secret + "?x@host",
		"mqtt://user:%" + secret + "@host", "mqtt://user:" + secret + "@host:port", "mqtt://user:" + secret + "@host/path",
		"mqtt://user:" + secret + "@", "mqtt://" + secret + "\x7f@host", "mqtt://user:1/" + secret + "@host",
		"ws://user:1/" + secret + "@host", "ws://user:1?" + secret + "@host", "ws://user:1#" + secret + "@host",
		"ws://u:p@host/?x#" + secret, "ws://user:" + secret + "@host:99999/?" + secret, "ws+unix:///run/s:" + secret,
		"mqtt+srv://user:" + secret + "@host:1883", "mqtt+srv://host?" + secret, "unix://user:" + secret + "@", "unix:///run/s?" + secret,
		"mqtts+unix://user:" + secret + "@/run/s", "mqtt://user:" + strings.Repeat(secret, 10_000) + "@host", "mqtt://" + secret + "\xff:x@host",
	} {
		for field, cfg := range map[string]mqtt.Config{
			"server URL":        {},
			"Config.Servers[0]": {Servers: []string{url}},
		} {
			first := "mqtt://host"
			if cfg.Servers == nil {
				first = url
			}
			text := logged(&cfg)
			_, err := mqtt.Connect(t.Context(), first, cfg)
			require.ErrorIs(t, err, mqtt.ErrInvalid, url)
			requireNoSecret(t, url, err, text.String(), cfg, &cfg)
			if !strings.Contains(err.Error(), "Config.TLS: needs a ServerName") {
				require.ErrorContains(t, err, field)
			}
		}
	}
}

func TestConfigurationsWithSecretsAreNotRepeated(t *testing.T) {
	for name, cfg := range map[string]mqtt.Config{
		"Config.Proxy: can":                 {Proxy: "http://u:%" + secret + "@proxy"},
		"Config.Proxy: is not":              {Proxy: "http://u:1/" + secret + "@proxy"},
		"Config.Proxy: scheme":              {Proxy: "ftp://u:" + secret + "@proxy"},
		"Config.Proxy: has":                 {Proxy: "socks5://u:" + strings.Repeat(secret, 40) + "@proxy"},
		"Config.Header: the value of X-Key": {Header: http.Header{"X-Key": {secret + "\r\nY: z"}}},
		"Config.Password: ":                 {Password: mqtt.Secret(strings.Repeat(secret, 10_000))},
	} {
		text := logged(&cfg)
		_, err := mqtt.Connect(t.Context(), "mqtt://host", cfg)
		require.ErrorIs(t, err, mqtt.ErrInvalid, name)
		require.ErrorContains(t, err, name)
		requireNoSecret(t, name, err, text.String(), cfg, &cfg, slog.AnyValue(cfg).Resolve())
	}
}

// secretive has a secret wherever there can be one.
func secretive(attempts int) mqtt.Config {
	return mqtt.Config{
		Version: mqtt.V5, Username: "user", Password: secret, RetryFirst: true, KeepAlive: -1,
		Proxy:     "http://proxy-user:" + secret + "@proxy.example",
		Header:    http.Header{"Authorization": {"Bearer " + secret}, "Cookie": {secret}},
		Reconnect: reconnect.Policy{MaxAttempts: attempts},
		Attempt: func(_ context.Context, a *mqtt.Attempt) error {
			a.Server += "&again=" + secret
			a.Header.Set("X-Token", secret)
			return nil
		},
	}
}

func TestFailuresOnTheWayTellNoSecrets(t *testing.T) {
	// What the proxy says, and what the server says through it.
	for name, says := range map[string][]string{
		"refused":             nil,
		"proxy hangs up":      {""},
		"proxy refuses":       {"HTTP/1.1 407 No\r\n\r\n"},
		"proxy talks rubbish": {"\x00\x01\r\n\r\n"},
		"server hangs up":     {"HTTP/1.1 200 OK\r\n\r\n", ""},
		"forbidden":           {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 403 No\r\n\r\n"},
		"redirected":          {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 301 No\r\nLocation: http://x/\r\n\r\n"},
		"bad location":        {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 301 No\r\nLocation: ://\r\n\r\n"},
		"rubbish":             {"HTTP/1.1 200 OK\r\n\r\n", "rubbish\r\n\r\n"},
		"no upgrade":          {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 101 OK\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"},
		"wrong accept": {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 101 OK\r\nSec-WebSocket-Protocol: mqtt\r\n" +
			"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"},
	} {
		for _, url := range []string{"ws://u:" + secret + "@host/mqtt?signature=" + secret, "wss://host/mqtt?signature=" + secret} {
			synctest.Test(t, func(t *testing.T) {
				l := pipe.Listen(0)
				defer l.Close()
				cfg := secretive(1)
				cfg.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
					if says == nil {
						return nil, errors.New("no way to " + address)
					}
					return l.Dial(ctx)
				}
				text := logged(&cfg)
				d := Connect(t, url, cfg)
				go answerAll(l, says)
				err := d.Call.Wait()
				require.ErrorIs(t, err, mqtt.ErrRetriesExhausted, name)
				require.NotEmpty(t, text.String())
				requireNoSecret(t, name, err, text.String())
			})
		}
	}
}

// answerAll answers each HTTP request with the next of says, and then hangs up.
func answerAll(l net.Listener, says []string) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 64<<10)
		for _, say := range says {
			if _, err := nc.Read(buf); err != nil {
				break
			}
			io.WriteString(nc, say)
		}
		nc.Close()
	}
}

func TestRefusalsTellNoSecrets(t *testing.T) {
	for name, ack := range map[string]*wire.Connack{
		"permanent":  {ReasonCode: wire.BadUserNameOrPassword},
		"temporary":  {ReasonCode: wire.ServerBusy},
		"redirected": Use("other.example"),
		"nonsense":   Use("://"),
	} {
		synctest.Test(t, func(t *testing.T) {
			web := NewWebServer(t)
			cfg := secretive(1)
			cfg.Proxy, cfg.RetryFirst = "", false
			cfg.Dial = web.Config().Dial
			text := logged(&cfg)
			d := Connect(t, "ws://u:"+secret+"@host/mqtt?signature="+secret, cfg)
			p := web.Switched()
			p.Want(OpBinary)
			p.Send(ack)
			err := d.Call.Wait()
			require.ErrorIs(t, err, ack.ReasonCode)
			requireNoSecret(t, name, err, text.String())
		})
	}
}

func TestLifeOfAClientTellsNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		cfg := secretive(0)
		cfg.Proxy, cfg.Attempt = "", nil
		cfg.Dial = web.Config().Dial
		seen := 0
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			seen++
			requireNoSecret(t, "Attempt", a, *a, slog.AnyValue(*a).Resolve())
			return nil
		}
		text := logged(&cfg)
		d := Connect(t, "ws://u:"+secret+"@host/mqtt?signature="+secret, cfg)
		p := web.Connected()
		client := d.Client(t)
		events := client.Watch(t.Context())
		requireNoSecret(t, "Client", client, client.ServerInfo(), client.Stats())
		p.Conn.Close()
		web.Accept().Say("HTTP/1.1 401 No\r\n\r\n")
		p = web.Connected()
		p.Send(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: "evil:1"})
		p.Conn.Close()
		web.Connected()
		require.NoError(t, client.Close())
		for e := range events {
			requireNoSecret(t, "Event", e)
		}
		require.NoError(t, errors.Unwrap(client.Err()))
		requireNoSecret(t, "log", text.String())
		require.Equal(t, 4, seen)
	})
}
