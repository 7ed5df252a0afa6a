package broker

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/wire"
)

// transports are the ways to our connections in memory: near is the client's side of
// the bytes on the wire, and nc what the client uses.
var transports = map[string]func(t *testing.T, b *Broker, buffer int) (near, nc net.Conn){
	"tcp": func(t *testing.T, b *Broker, buffer int) (net.Conn, net.Conn) {
		near := overMemory(t, b, buffer, b.Serve, nil)
		return near, near
	},
	"tls": func(t *testing.T, b *Broker, buffer int) (net.Conn, net.Conn) {
		near := overMemory(t, b, buffer, b.Serve, &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "localhost")}})
		return near, tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	},
	"ws": func(t *testing.T, b *Broker, buffer int) (net.Conn, net.Conn) {
		near := overMemory(t, b, buffer, b.ServeWebSocket, nil)
		return near, overWebSocket(t, near)
	},
	"wss": func(t *testing.T, b *Broker, buffer int) (net.Conn, net.Conn) {
		near := overMemory(t, b, buffer, b.ServeWebSocket, &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "localhost")}})
		return near, overWebSocket(t, tls.Client(near, &tls.Config{InsecureSkipVerify: true}))
	},
}

// overMemory dials a listener like that of Listen, but in memory.
func overMemory(t *testing.T, b *Broker, buffer int, serve func(context.Context, net.Listener) error, secure *tls.Config) net.Conn {
	memory := NewMemoryListener(buffer)
	var ln net.Listener = memory
	if secure != nil {
		ln = tls.NewListener(watchedListener{ln}, secure)
	}
	go serve(context.Background(), ln) // ends with the broker
	near, err := memory.Dial(t.Context(), "", "")
	require.NoError(t, err)
	return near
}

func overWebSocket(t *testing.T, nc net.Conn) net.Conn {
	ws, _, err := websocket.Dial(t.Context(), "ws://broker", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nc, nil },
		}},
		Subprotocols: []string{"mqtt"},
	})
	require.NoError(t, err)
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
}

// overEach runs f in a bubble for each transport.
func overEach(t *testing.T, buffer int, cfg Config, f func(t *testing.T, b *Broker, near net.Conn, s *script)) {
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			run(t, cfg, func(t *testing.T, b *Broker) {
				near, nc := open(t, b, buffer)
				s := &script{t: t, net: nc, version: wire.V5, reader: wire.NewReader(nc, wire.V5, 0), decoder: wire.Decoder{Version: wire.V5}}
				f(t, b, near, s)
				near.Close()
				synctest.Wait()
			})
		})
	}
}

func TestHalfAPacketIsNoSilence(t *testing.T) {
	overEach(t, 0, Config{}, func(t *testing.T, b *Broker, near net.Conn, s *script) {
		s.send(&wire.Connect{ClientID: "c", CleanStart: true, KeepAlive: 2})
		receive[*wire.Connack](s)
		raw, err := (&wire.Publish{Topic: "t", Payload: make([]byte, 100), QoS: 1, PacketID: 1}).Append(nil, wire.V5)
		require.NoError(t, err)
		for _, one := range raw[:50] {
			advance(3*time.Second - 1)
			s.write([]byte{one})
		}
		s.write(raw[50:])
		s.want(&wire.Puback{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers})
		s.write(raw[:50])
		advance(3*time.Second - 1)
		require.Equal(t, 1, b.Stats().Connected)
		advance(1)
		s.ended(wire.KeepAliveTimeout)
	})
}

// halting is a connection that sends its bytes one by one, with pauses, once told to.
type halting struct {
	net.Conn
	pause time.Duration
}

func (c *halting) Write(b []byte) (int, error) {
	if c.pause == 0 {
		return c.Conn.Write(b)
	}
	for i := range b {
		time.Sleep(c.pause)
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestHalfARecordIsNoSilence(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		slow := &halting{Conn: overMemory(t, b, 0, b.Serve, &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "localhost")}})}
		nc := tls.Client(slow, &tls.Config{InsecureSkipVerify: true})
		s := &script{t: t, net: nc, version: wire.V5, reader: wire.NewReader(nc, wire.V5, 0), decoder: wire.Decoder{Version: wire.V5}}
		s.send(&wire.Connect{ClientID: "c", CleanStart: true, KeepAlive: 2})
		receive[*wire.Connack](s)
		slow.pause = 3*time.Second - 1
		require.NoError(t, nc.SetDeadline(time.Time{}))
		raw, err := (&wire.Publish{Topic: "t", Payload: make([]byte, 100), QoS: 1, PacketID: 1}).Append(nil, wire.V5)
		require.NoError(t, err)
		_, err = nc.Write(raw)
		require.NoError(t, err)
		s.want(&wire.Puback{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers})
		slow.Close()
	})
}

func TestWhoTakesOneByteNowAndThenIsKept(t *testing.T) {
	overEach(t, 256, Config{WriteTimeout: 10 * time.Second}, func(t *testing.T, b *Broker, near net.Conn, s *script) {
		s.send(&wire.Connect{ClientID: "c", CleanStart: true})
		receive[*wire.Connack](s)
		s.subscribe(filter("#", 0))
		require.NoError(t, b.Publish(message0("a", strings.Repeat("x", 100_000))))
		synctest.Wait()
		require.NoError(t, near.SetDeadline(time.Time{}))
		for range 200 {
			advance(10*time.Second - 1)
			_, err := io.ReadFull(near, make([]byte, 1))
			require.NoError(t, err)
			require.Equal(t, 1, b.Stats().Connected)
		}
		advance(10 * time.Second)
		require.Zero(t, b.Stats().Connected)
	})
}

func TestConnectOfBytesNowAndThenIsGivenUp(t *testing.T) {
	overEach(t, 0, Config{ConnectTimeout: 10 * time.Second}, func(t *testing.T, b *Broker, near net.Conn, s *script) {
		full := strings.Repeat("x", 60_000)
		raw, err := (&wire.Connect{ClientID: full, CleanStart: true}).Append(nil, wire.V5)
		require.NoError(t, err)
		begun := time.Now()
		for _, one := range raw {
			time.Sleep(time.Second)
			if _, err := s.net.Write([]byte{one}); err != nil {
				break
			}
		}
		require.Less(t, time.Since(begun), 15*time.Second)
	})
}

func TestSlowConnectIsTaken(t *testing.T) {
	overEach(t, 0, Config{ConnectTimeout: 10 * time.Second}, func(t *testing.T, b *Broker, near net.Conn, s *script) {
		full := strings.Repeat("x", 60_000)
		raw, err := (&wire.Connect{ClientID: full, CleanStart: true}).Append(nil, wire.V5)
		require.NoError(t, err)
		for len(raw) > 0 { // half a minute
			n, err := s.net.Write(raw[:min(len(raw), 2000)])
			require.NoError(t, err)
			raw = raw[n:]
			time.Sleep(time.Second)
		}
		require.Equal(t, wire.Success, receive[*wire.Connack](s).ReasonCode)
	})
}

func TestStuckClientsDoNotHoldUpClose(t *testing.T) {
	overEach(t, 256, Config{}, func(t *testing.T, b *Broker, near net.Conn, s *script) {
		s.send(&wire.Connect{ClientID: "c", CleanStart: true})
		receive[*wire.Connack](s)
		s.subscribe(filter("#", 0))
		require.NoError(t, b.Publish(message0("a", strings.Repeat("x", 100_000))))
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, b.Close())
		require.LessOrEqual(t, time.Since(begun), 1300*time.Millisecond)
	})
}

// A ping that comes while a message is on its way to a slow client is answered behind
// it, and does not end the connection.
func TestPingOfASlowWebSocketIsAnswered(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		near := overMemory(t, b, 256, b.ServeWebSocket, nil)
		paused := line.New(near)
		ws, _, err := websocket.Dial(t.Context(), "ws://broker", &websocket.DialOptions{
			HTTPClient:   &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return paused, nil }}},
			Subprotocols: []string{"mqtt"},
		})
		require.NoError(t, err)
		ws.SetReadLimit(-1)
		nc := websocket.NetConn(t.Context(), ws, websocket.MessageBinary)
		s := &script{t: t, net: nc, version: wire.V5, reader: wire.NewReader(nc, wire.V5, 0), decoder: wire.Decoder{Version: wire.V5}}
		s.send(&wire.Connect{ClientID: "c", CleanStart: true})
		receive[*wire.Connack](s)
		s.subscribe(filter("#", 0))
		require.NoError(t, b.Publish(message0("a", strings.Repeat("x", 50_000))))
		synctest.Wait()
		pinged := make(chan error, 1)
		go func() { pinged <- ws.Ping(t.Context()) }()
		require.NoError(t, nc.SetDeadline(time.Time{}))
		advance(15 * time.Second) // the server is stuck that long
		got := make(chan wire.Packet, 1)
		go func() {
			p, _ := s.next()
			got <- p
			io.Copy(io.Discard, nc) // which reads the pong
		}()
		require.IsType(t, &wire.Publish{}, <-got)
		require.NoError(t, <-pinged)
		require.Equal(t, 1, b.Stats().Connected)
		near.Close()
		synctest.Wait()
	})
}
