package clienttest

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
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestWebSocketCarriesEveryVersion(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		l := pipe.Listen(0)
		Gateway(t, l, srv.Dial)
		cfg := Quiet(srv)
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }
		d := Connect(t, "ws://server", cfg)
		conn := srv.Connected(&wire.Connack{})
		client := d.Client(t)
		sub := Subscribe(t, client, conn, "t", 1)
		large := strings.Repeat("large ", 1<<18)
		call := Publish(t, client, large, 1)
		conn.Want(Pub(2, 1, large))
		conn.Send(Puback(2), Pub(1, 1, large), Pub(2, 1, "small"))
		require.NoError(t, call.Wait())
		WantMessages(t, sub, large, "small")
		closing := Begin(client.Close)
		conn.Want(Puback(1), Puback(2))
		conn.WantDisconnect(wire.Success)
		require.NoError(t, closing.Wait())
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
			web := NewWebServer(t)
			cfg := web.Config()
			cfg.Header = http.Header{"Authorization": {"Bearer token"}, "X-Two": {"1", "2"}}
			d := Connect(t, url, cfg)
			p := web.Accept()
			require.Equal(t, want.host, p.Request.Host, url)
			require.Equal(t, want.target, p.Request.RequestURI, url)
			require.Equal(t, []string{"Bearer token"}, p.Request.Header["Authorization"])
			require.Equal(t, []string{"1", "2"}, p.Request.Header["X-Two"])
			require.Equal(t, []string{"mqtt"}, p.Request.Header["Sec-Websocket-Protocol"])
			require.Empty(t, p.Request.Header["Sec-Websocket-Extensions"], "no compression")
			p.Conn.Close()
			require.Error(t, d.Call.Wait())
		})
	}
}

func TestWebSocketHostHeaderCanBeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		cfg := web.Config()
		cfg.Header = http.Header{"Host": {"virtual.example"}}
		d := Connect(t, "ws://host", cfg)
		p := web.Accept()
		require.Equal(t, "virtual.example", p.Request.Host)
		p.Conn.Close()
		require.Error(t, d.Call.Wait())
	})
}

func TestWebSocketSubprotocolOf31(t *testing.T) {
	for _, chosen := range []string{"mqttv3.1", "mqtt", "mqttv3.1,mqtt", "mqtt, mqttv3.1"} {
		synctest.Test(t, func(t *testing.T) {
			web := NewWebServer(t)
			cfg := web.Config()
			cfg.Version = mqtt.V31
			d := Connect(t, "ws://host", cfg)
			p := web.Accept()
			require.Equal(t, "mqttv3.1,mqtt", p.Request.Header.Get("Sec-WebSocket-Protocol"))
			p.Agree(chosen)
			p.Want(OpBinary)
			p.Frame(true, OpBinary, []byte{0x20, 2, 0, 0})
			d.Client(t)
		})
	}
}

func TestWebSocketHandshakeThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(*WebPeer)
		text   string
	}{
		"no subprotocol":    {func(p *WebPeer) { p.Agree("") }, "chose no WebSocket subprotocol"},
		"other subprotocol": {func(p *WebPeer) { p.Agree("mqttv3.1") }, `chose the WebSocket subprotocol "mqttv3.1", not mqtt`},
		"list with another": {func(p *WebPeer) { p.Agree("mqtt, wamp") }, `chose the WebSocket subprotocol "mqtt, wamp", not mqtt`},
		"forbidden":         {func(p *WebPeer) { p.Say("HTTP/1.1 403 Whatever\r\nContent-Length: 5\r\n\r\nno no") }, "403 Forbidden"},
		"redirected":        {func(p *WebPeer) { p.Say("HTTP/1.1 302 Found\r\nLocation: ws://evil/\r\n\r\n") }, "302 Found"},
		"no upgrade": {func(p *WebPeer) { p.Say("HTTP/1.1 101 Yes\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n") },
			"WebSocket handshake: failed to WebSocket dial: WebSocket protocol violation"},
		"no HTTP":       {func(p *WebPeer) { p.Say("\x20\x02\x00\x00 and more\r\n\r\n") }, "WebSocket handshake: malformed HTTP"},
		"endless":       {func(p *WebPeer) { p.Say("HTTP/1.1 101 Yes\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n") }, "more than 65536 bytes"},
		"long status":   {func(p *WebPeer) { p.Say("HTTP/1.1 " + strings.Repeat("x", 10_000) + "\r\n\r\n") }, "malformed HTTP status code"},
		"bad header":    {func(p *WebPeer) { p.Say("HTTP/1.1 101 Yes\r\n\x1b[31m" + strings.Repeat("x", 10_000) + "\r\n\r\n") }, "malformed MIME header"},
		"hangs up":      {func(*WebPeer) {}, "WebSocket handshake: unexpected EOF"},
		"half a header": {func(p *WebPeer) { p.Say("HTTP/1.1 101 Swi") }, "WebSocket handshake: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web := NewWebServer(t)
				cfg := web.Config()
				cfg.Version = mqtt.Auto // no failure of these says anything about the version
				begun := time.Now()
				d := Connect(t, "ws://host/mqtt?signature=hidden", cfg)
				p := web.Accept()
				test.answer(p)
				p.Conn.(interface{ CloseWrite() error }).CloseWrite()
				err := d.Call.Wait()
				require.ErrorContains(t, err, test.text)
				require.NotContains(t, err.Error(), "hidden")
				require.NotContains(t, err.Error(), "\x1b")
				require.Less(t, len(err.Error()), 400)
				require.Zero(t, time.Since(begun))
				_, err = io.ReadAll(p.Reader)
				require.NoError(t, err, "the client has closed the connection")
			})
		})
	}
}

func TestHTTPErrorTellsTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		d := Connect(t, "ws://host", web.Config())
		web.Accept().Say("HTTP/1.1 401 No\r\n\r\n")
		var said *mqtt.HTTPError
		require.ErrorAs(t, d.Call.Wait(), &said)
		require.Equal(t, &mqtt.HTTPError{StatusCode: 401}, said)
		require.False(t, mqtt.IsPermanent(d.Call.Err), "a token may be better next time")
	})
}

func TestConnectTimeoutCoversTheWebSocketHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		cfg := web.Config()
		cfg.ConnectTimeout = 3 * time.Second
		begun := time.Now()
		d := Connect(t, "ws://host", cfg)
		p := web.Accept()
		p.Say("HTTP/1.1 101 ")
		require.ErrorContains(t, d.Call.Wait(), "connect timeout")
		require.Equal(t, 3*time.Second, time.Since(begun))
		p.WantEnd()
	})
}

// [MQTT-6.0.0-2]
func TestFramesAndPacketsAreNotAligned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		d := Connect(t, "ws://host", web.Config())
		p := web.Switched()
		p.Want(OpBinary)
		for i, b := range Encoded(t, &wire.Connack{}) {
			p.Frame(true, OpBinary, nil)
			p.Frame(true, OpBinary, []byte{b})
			p.Frame(true, OpPing, []byte{byte(i)})
			require.Equal(t, []byte{byte(i)}, p.Want(OpPong))
		}
		client := d.Client(t)
		sub, err := client.Route("#")
		require.NoError(t, err)
		all := Encoded(t, Pub(0, 0, "one"), Pub(0, 0, strings.Repeat("x", 200_000)), Pub(0, 0, "three"))
		p.Frame(false, OpBinary, all[:3])
		p.Frame(true, OpPong, []byte("unasked"))
		p.Frame(false, OpContinuation, nil)
		p.Frame(false, OpContinuation, all[3:100_000])
		p.Frame(true, OpPing, nil)
		p.Frame(true, OpContinuation, all[100_000:])
		require.Empty(t, p.Want(OpPong))
		WantMessages(t, sub, "one", strings.Repeat("x", 200_000), "three")
	})
}

func TestMessageLimitOfTheLibraryDoesNotApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		cfg := web.Config()
		cfg.MaximumPacketSize = 1000
		d := Connect(t, "ws://host", cfg)
		p := web.Connected()
		client := d.Client(t)
		sub, err := client.Route("#")
		require.NoError(t, err)
		many := make([]wire.Packet, 100)
		for i := range many {
			many[i] = Pub(0, 0, strings.Repeat("x", 900))
		}
		p.Send(many...) // 90 kB in a frame, but no packet is too large
		for range many {
			require.Len(t, Next(t, sub).Payload, 900)
		}
		p.Send(Pub(0, 0, strings.Repeat("x", 1000)))
		p.WantPackets(&wire.Disconnect{ReasonCode: wire.PacketTooLarge})
	})
}

// [MQTT-6.0.0-1]
func TestTextFrameEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		d := Connect(t, "ws://host", web.Config())
		p := web.Connected()
		client := d.Client(t)
		events := client.Watch(t.Context())
		p.Frame(true, OpText, Encoded(t, Pub(0, 0, "x")))
		p.WantClose(1003)
		p.WantEnd()
		require.ErrorContains(t, (<-events).Err, "text frame")
		web.Connected()
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
			web := NewWebServer(t)
			d := Connect(t, "ws://host", web.Config())
			p := web.Connected()
			events := d.Client(t).Watch(t.Context())
			switch status {
			case "broken: in a frame":
				p.Frame(false, OpBinary, []byte{0x30, 100, 0})
			case "broken: no close":
			default:
				p.Frame(true, OpClose, []byte(status))
				p.Want(OpClose)
			}
			p.Conn.Close()
			err := (<-events).Err
			require.ErrorContains(t, err, text, "%q", status)
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestCloseSaysGoodbyeToTheWebSocketToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		d := Connect(t, "ws://host", web.Config())
		p := web.Connected()
		client := d.Client(t)
		closing := Begin(client.Close)
		p.WantPackets(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		p.WantClose(1000)
		p.Frame(true, OpPing, []byte("late")) // nothing may follow a close frame
		p.Frame(true, OpClose, []byte{3, 0xe8})
		p.WantEnd()
		require.NoError(t, closing.Wait())
	})
}

func TestCloseDoesNotWaitForAWebSocketServerThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		d := Connect(t, "ws://host", web.Config())
		p := web.Connected()
		client := d.Client(t)
		begun := time.Now()
		require.NoError(t, client.Close())
		require.Equal(t, time.Second, time.Since(begun))
		p.Conn.Close()
	})
}

func TestStalledWebSocketIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		cfg := web.Config()
		cfg.WriteTimeout = 7 * time.Second
		d := Connect(t, "ws://host", cfg)
		web.Connected()
		client := d.Client(t)
		events := client.Watch(t.Context())
		begun := time.Now()
		PublishAsync(t, client, strings.Repeat("x", 3<<20), 1)
		require.ErrorContains(t, (<-events).Err, "write: ")
		require.Equal(t, 7*time.Second, time.Since(begun))
	})
}

// A frame that takes minutes is proof of life while it arrives.
func TestSlowFrameKeepsTheConnectionAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		cfg := web.Config()
		cfg.KeepAlive, cfg.PingTimeout = 10*time.Second, 5*time.Second
		d := Connect(t, "ws://host", cfg)
		p := web.Connected()
		client := d.Client(t)
		sub, err := client.Route("#")
		require.NoError(t, err)
		packet := Encoded(t, Pub(0, 0, strings.Repeat("x", 100)))
		p.Conn.Write(FrameHeader(true, OpBinary, len(packet)))
		for _, b := range packet {
			p.Conn.Write([]byte{b})
			<-time.After(3 * time.Second)
		}
		WantMessages(t, sub, strings.Repeat("x", 100))
		require.Equal(t, uint64(1), client.Stats().Connections)
	})
}

func TestFramesAreNoLargerThanServersTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		d := Connect(t, "ws://host", web.Config())
		p := web.Connected()
		client := d.Client(t)
		PublishAsync(t, client, strings.Repeat("x", 100_000), 0)
		var got []byte
		want := Encoded(t, Pub(0, 0, strings.Repeat("x", 100_000)))
		for len(got) < len(want) {
			b := p.Want(OpBinary)
			require.LessOrEqual(t, len(b), 32<<10)
			got = append(got, b...)
		}
		require.Equal(t, want, got)
	})
}

// A ping in the middle of a slow upload is answered behind the frame under way.
func TestPingDuringASlowUploadIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := NewWebServer(t)
		d := Connect(t, "ws://host", web.Config())
		p := web.Connected()
		client := d.Client(t)
		PublishAsync(t, client, strings.Repeat("x", 3<<20), 1)
		synctest.Wait() // the line is full
		p.Frame(true, OpPing, []byte("alive"))
		time.Sleep(14 * time.Second)
		require.NoError(t, p.Conn.SetReadDeadline(time.Time{}))
		data := 0
		for {
			opcode, err := p.Reader.Peek(1)
			require.NoError(t, err)
			if opcode[0] == 0x80|OpPong {
				break
			}
			data += len(p.Want(OpBinary))
		}
		require.Less(t, data, 3<<20)
		require.Equal(t, "alive", string(p.Want(OpPong)))
		p.Want(OpBinary)
		require.Zero(t, client.Stats().Lost)
	})
}
