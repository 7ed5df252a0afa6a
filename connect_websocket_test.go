package mqtt_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestWebSocketCarriesEveryVersion(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		l := pipe.Listen(0)
		gateway(t, l, srv.Dial)
		cfg := quiet(srv)
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }
		d := new(dialing)
		d.call = begin(func() (err error) {
			d.result, err = mqtt.Connect(t.Context(), "ws://server", cfg)
			return err
		})
		conn := srv.Connected(&wire.Connack{})
		client := d.client(t)
		sub := subscribe(t, client, conn, "t", 1)
		large := strings.Repeat("large ", 1<<18)
		call := publish(t, client, large, 1)
		conn.Want(pub(2, 1, large))
		conn.Send(puback(2), pub(1, 1, large), pub(2, 1, "small"))
		require.NoError(t, call.wait())
		wantMessages(t, sub, large, "small")
		closing := begin(client.Close)
		conn.Want(puback(1), puback(2))
		conn.WantDisconnect(wire.Success)
		require.NoError(t, closing.wait())
	})
}

func TestWebSocketRequest(t *testing.T) {
	for url, want := range map[string]struct{ host, target string }{
		"ws://host":                         {"host", "/mqtt"},
		"ws://host/":                        {"host", "/"},
		"ws://host:80/a%2Fb":                {"host", "/a%2Fb"},
		"ws://host:8080/mqtt?sig=a%2Bb&x":   {"host:8080", "/mqtt?sig=a%2Bb&x"},
		"WS://user:secret@[::1]:8080/mqtt":  {"[::1]:8080", "/mqtt"},
		"ws://[::1]":                        {"[::1]", "/mqtt"},
		"ws+unix:///run/mqtt.sock":          {"localhost", "/mqtt"},
		"ws+unix:///run/mqtt.sock:/a?b=c":   {"localhost", "/a?b=c"},
		"ws+unix://u:p@relative/s.sock:/ws": {"localhost", "/ws"},
	} {
		synctest.Test(t, func(t *testing.T) {
			web := newWebServer(t)
			cfg := web.config()
			cfg.Header = http.Header{"Authorization": {"Bearer token"}, "X-Two": {"1", "2"}}
			d := web.dial(url, cfg)
			p := web.accept()
			require.Equal(t, want.host, p.request.Host, url)
			require.Equal(t, want.target, p.request.RequestURI, url)
			require.Equal(t, []string{"Bearer token"}, p.request.Header["Authorization"])
			require.Equal(t, []string{"1", "2"}, p.request.Header["X-Two"])
			require.Equal(t, []string{"mqtt"}, p.request.Header["Sec-Websocket-Protocol"])
			require.Empty(t, p.request.Header["Sec-Websocket-Extensions"], "no compression")
			p.conn.Close()
			require.Error(t, d.call.wait())
		})
	}
}

func TestWebSocketHostHeaderCanBeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		cfg := web.config()
		cfg.Header = http.Header{"Host": {"virtual.example"}}
		d := web.dial("ws://host", cfg)
		p := web.accept()
		require.Equal(t, "virtual.example", p.request.Host)
		p.conn.Close()
		require.Error(t, d.call.wait())
	})
}

func TestWebSocketSubprotocolOf31(t *testing.T) {
	for _, chosen := range []string{"mqttv3.1", "mqtt"} {
		synctest.Test(t, func(t *testing.T) {
			web := newWebServer(t)
			cfg := web.config()
			cfg.Version = mqtt.V31
			d := web.dial("ws://host", cfg)
			p := web.accept()
			require.Equal(t, "mqttv3.1,mqtt", p.request.Header.Get("Sec-WebSocket-Protocol"))
			p.agree(chosen)
			p.want(opBinary)
			p.frame(true, opBinary, []byte{0x20, 2, 0, 0})
			d.client(t)
		})
	}
}

func TestWebSocketHandshakeThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(*webPeer)
		text   string
	}{
		"no subprotocol":    {func(p *webPeer) { p.agree("") }, "chose no WebSocket subprotocol"},
		"other subprotocol": {func(p *webPeer) { p.agree("mqttv3.1") }, `chose the WebSocket subprotocol "mqttv3.1", not mqtt`},
		"forbidden":         {func(p *webPeer) { p.say("HTTP/1.1 403 Whatever\r\nContent-Length: 5\r\n\r\nno no") }, "403 Forbidden"},
		"redirected":        {func(p *webPeer) { p.say("HTTP/1.1 302 Found\r\nLocation: ws://evil/\r\n\r\n") }, "302 Found"},
		"no upgrade": {func(p *webPeer) { p.say("HTTP/1.1 101 Yes\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n") },
			"WebSocket handshake: failed to WebSocket dial: WebSocket protocol violation"},
		"no HTTP":       {func(p *webPeer) { p.say("\x20\x02\x00\x00 and more\r\n\r\n") }, "WebSocket handshake: malformed HTTP"},
		"endless":       {func(p *webPeer) { p.say("HTTP/1.1 101 Yes\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n") }, "more than 65536 bytes"},
		"long status":   {func(p *webPeer) { p.say("HTTP/1.1 " + strings.Repeat("x", 10_000) + "\r\n\r\n") }, "malformed HTTP status code"},
		"bad header":    {func(p *webPeer) { p.say("HTTP/1.1 101 Yes\r\n\x1b[31m" + strings.Repeat("x", 10_000) + "\r\n\r\n") }, "malformed MIME header"},
		"hangs up":      {func(*webPeer) {}, "WebSocket handshake: unexpected EOF"},
		"half a header": {func(p *webPeer) { p.say("HTTP/1.1 101 Swi") }, "WebSocket handshake: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web := newWebServer(t)
				cfg := web.config()
				cfg.Version = mqtt.Auto // no failure of these says anything about the version
				begun := time.Now()
				d := web.dial("ws://host/mqtt?signature=hidden", cfg)
				p := web.accept()
				test.answer(p)
				p.conn.(interface{ CloseWrite() error }).CloseWrite()
				err := d.call.wait()
				require.ErrorContains(t, err, test.text)
				require.NotContains(t, err.Error(), "hidden")
				require.NotContains(t, err.Error(), "\x1b")
				require.Less(t, len(err.Error()), 400)
				require.Zero(t, time.Since(begun))
				_, err = io.ReadAll(p.reader)
				require.NoError(t, err, "the client has closed the connection")
			})
		})
	}
}

func TestHTTPErrorTellsTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		d := web.dial("ws://host", web.config())
		web.accept().say("HTTP/1.1 401 No\r\n\r\n")
		var said *mqtt.HTTPError
		require.ErrorAs(t, d.call.wait(), &said)
		require.Equal(t, &mqtt.HTTPError{StatusCode: 401}, said)
		require.False(t, mqtt.IsPermanent(d.call.err), "a token may be better next time")
	})
}

func TestConnectTimeoutCoversTheWebSocketHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		cfg := web.config()
		cfg.ConnectTimeout = 3 * time.Second
		begun := time.Now()
		d := web.dial("ws://host", cfg)
		p := web.accept()
		p.say("HTTP/1.1 101 ")
		require.ErrorContains(t, d.call.wait(), "connect timeout")
		require.Equal(t, 3*time.Second, time.Since(begun))
		p.wantEnd()
	})
}

// [MQTT-6.0.0-2]
func TestFramesAndPacketsAreNotAligned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		d := web.dial("ws://host", web.config())
		p := web.switched()
		p.want(opBinary)
		for i, b := range encoded(t, &wire.Connack{}) {
			p.frame(true, opBinary, nil)
			p.frame(true, opBinary, []byte{b})
			p.frame(true, opPing, []byte{byte(i)})
			require.Equal(t, []byte{byte(i)}, p.want(opPong))
		}
		client := d.client(t)
		sub, err := client.Route("#")
		require.NoError(t, err)
		all := encoded(t, pub(0, 0, "one"), pub(0, 0, strings.Repeat("x", 200_000)), pub(0, 0, "three"))
		p.frame(false, opBinary, all[:3])
		p.frame(true, opPong, []byte("unasked"))
		p.frame(false, opContinuation, nil)
		p.frame(false, opContinuation, all[3:100_000])
		p.frame(true, opPing, nil)
		p.frame(true, opContinuation, all[100_000:])
		require.Empty(t, p.want(opPong))
		wantMessages(t, sub, "one", strings.Repeat("x", 200_000), "three")
	})
}

func TestMessageLimitOfTheLibraryDoesNotApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		cfg := web.config()
		cfg.MaximumPacketSize = 1000
		d := web.dial("ws://host", cfg)
		p := web.connected()
		client := d.client(t)
		sub, err := client.Route("#")
		require.NoError(t, err)
		many := make([]wire.Packet, 100)
		for i := range many {
			many[i] = pub(0, 0, strings.Repeat("x", 900))
		}
		p.send(many...) // 90 kB in a frame, but no packet is too large
		for range many {
			require.Len(t, next(t, sub).Payload, 900)
		}
		p.send(pub(0, 0, strings.Repeat("x", 1000)))
		p.wantPackets(&wire.Disconnect{ReasonCode: wire.PacketTooLarge})
	})
}

// [MQTT-6.0.0-1]
func TestTextFrameEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		d := web.dial("ws://host", web.config())
		p := web.connected()
		client := d.client(t)
		events := client.Watch(t.Context())
		p.frame(true, opText, encoded(t, pub(0, 0, "x")))
		p.wantClose(1003)
		p.wantEnd()
		require.ErrorContains(t, (<-events).Err, "text frame")
		web.connected()
		require.Equal(t, mqtt.Connecting, (<-events).State)
		require.Equal(t, mqtt.Connected, (<-events).State)
	})
}

func TestServerThatClosesTheWebSocketIsToldFromABrokenLine(t *testing.T) {
	for status, text := range map[string]string{
		"\x03\xe8":           "server closed the connection",
		"\x03\xe9":           "server closed the connection",
		"\x03\xf0go away":    `status 1008 "go away"`,
		"":                   "status 1005",
		"broken: no close":   "server closed the connection",
		"broken: in a frame": "server closed the connection",
	} {
		synctest.Test(t, func(t *testing.T) {
			web := newWebServer(t)
			d := web.dial("ws://host", web.config())
			p := web.connected()
			events := d.client(t).Watch(t.Context())
			switch status {
			case "broken: in a frame":
				p.frame(false, opBinary, []byte{0x30, 100, 0})
			case "broken: no close":
			default:
				p.frame(true, opClose, []byte(status))
				p.want(opClose)
			}
			p.conn.Close()
			err := (<-events).Err
			require.ErrorContains(t, err, text, "%q", status)
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestCloseSaysGoodbyeToTheWebSocketToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		d := web.dial("ws://host", web.config())
		p := web.connected()
		client := d.client(t)
		closing := begin(client.Close)
		p.wantPackets(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		p.wantClose(1000)
		p.frame(true, opPing, []byte("late")) // nothing may follow a close frame
		p.frame(true, opClose, []byte{3, 0xe8})
		p.wantEnd()
		require.NoError(t, closing.wait())
	})
}

func TestCloseDoesNotWaitForAWebSocketServerThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		d := web.dial("ws://host", web.config())
		p := web.connected()
		client := d.client(t)
		begun := time.Now()
		require.NoError(t, client.Close())
		require.Equal(t, time.Second, time.Since(begun))
		p.conn.Close()
	})
}

func TestStalledWebSocketIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		cfg := web.config()
		cfg.WriteTimeout = 7 * time.Second
		d := web.dial("ws://host", cfg)
		web.connected()
		client := d.client(t)
		events := client.Watch(t.Context())
		begun := time.Now()
		publishAsync(t, client, strings.Repeat("x", 3<<20), 1)
		require.ErrorContains(t, (<-events).Err, "write: ")
		require.Equal(t, 7*time.Second, time.Since(begun))
	})
}

// A frame that takes minutes is proof of life while it arrives.
func TestSlowFrameKeepsTheConnectionAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		cfg := web.config()
		cfg.KeepAlive, cfg.PingTimeout = 10*time.Second, 5*time.Second
		d := web.dial("ws://host", cfg)
		p := web.connected()
		client := d.client(t)
		sub, err := client.Route("#")
		require.NoError(t, err)
		packet := encoded(t, pub(0, 0, strings.Repeat("x", 100)))
		p.conn.Write(frameHeader(true, opBinary, len(packet)))
		for _, b := range packet {
			p.conn.Write([]byte{b})
			<-time.After(3 * time.Second)
		}
		wantMessages(t, sub, strings.Repeat("x", 100))
		require.Equal(t, uint64(1), client.Stats().Connections)
	})
}

func TestFramesAreNoLargerThanServersTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		d := web.dial("ws://host", web.config())
		p := web.connected()
		client := d.client(t)
		publishAsync(t, client, strings.Repeat("x", 100_000), 0)
		var got []byte
		want := encoded(t, pub(0, 0, strings.Repeat("x", 100_000)))
		for len(got) < len(want) {
			b := p.want(opBinary)
			require.LessOrEqual(t, len(b), 32<<10)
			got = append(got, b...)
		}
		require.Equal(t, want, got)
	})
}

// A ping in the middle of a slow upload is answered behind the frame under way.
func TestPingDuringASlowUploadIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newWebServer(t)
		d := web.dial("ws://host", web.config())
		p := web.connected()
		client := d.client(t)
		publishAsync(t, client, strings.Repeat("x", 3<<20), 1)
		synctest.Wait() // the line is full
		p.frame(true, opPing, []byte("alive"))
		time.Sleep(14 * time.Second)
		require.NoError(t, p.conn.SetReadDeadline(time.Time{}))
		data := 0
		for {
			opcode, err := p.reader.Peek(1)
			require.NoError(t, err)
			if opcode[0] == 0x80|opPong {
				break
			}
			data += len(p.want(opBinary))
		}
		require.Less(t, data, 3<<20)
		require.Equal(t, "alive", string(p.want(opPong)))
		p.want(opBinary)
		require.Zero(t, client.Stats().Lost)
	})
}
