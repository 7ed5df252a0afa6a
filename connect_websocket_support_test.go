package mqtt_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// Opcodes of RFC 6455.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// webPeer is the server's side of a WebSocket, frame by frame.
type webPeer struct {
	t       *testing.T
	conn    net.Conn
	reader  *bufio.Reader
	request *http.Request
}

// webServer accepts connections in memory.
type webServer struct {
	t        *testing.T
	listener *pipe.Listener
}

func newWebServer(t *testing.T) *webServer {
	s := &webServer{t, pipe.Listen(1 << 20)}
	t.Cleanup(func() { s.listener.Close() })
	return s
}

// config is a configuration for a client of s that sends nothing on its own.
func (s *webServer) config() mqtt.Config {
	return mqtt.Config{ClientID: "c1", Version: mqtt.V5, KeepAlive: -1,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.listener.Dial(ctx) }}
}

// dial begins Connect with a client that ends with the test.
func (s *webServer) dial(url string, cfg mqtt.Config) *dialing {
	d := new(dialing)
	d.call = begin(func() (err error) {
		d.result, err = mqtt.Connect(s.t.Context(), url, cfg)
		return err
	})
	return d
}

// accept takes a connection and its HTTP request.
func (s *webServer) accept() *webPeer {
	s.t.Helper()
	conn, err := s.listener.Accept()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	p := &webPeer{t: s.t, conn: conn, reader: bufio.NewReader(conn)}
	p.request, err = http.ReadRequest(p.reader)
	require.NoError(s.t, err)
	return p
}

// switched takes a connection and agrees to speak WebSocket.
func (s *webServer) switched() *webPeer {
	s.t.Helper()
	p := s.accept()
	p.agree("mqtt")
	return p
}

// connected takes a connection up to CONNACK.
func (s *webServer) connected() *webPeer {
	s.t.Helper()
	p := s.switched()
	p.want(opBinary)
	p.send(&wire.Connack{})
	return p
}

// agree answers the request; an empty subprotocol means none.
func (p *webPeer) agree(subprotocol string) {
	sum := sha1.Sum([]byte(p.request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	text := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if subprotocol != "" {
		text += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	p.say(text + "\r\n")
}

func (p *webPeer) say(text string) {
	_, err := io.WriteString(p.conn, text)
	require.NoError(p.t, err)
}

// frame sends one frame.
func (p *webPeer) frame(final bool, opcode byte, payload []byte) {
	p.t.Helper()
	_, err := p.conn.Write(append(frameHeader(final, opcode, len(payload)), payload...))
	require.NoError(p.t, err)
}

func frameHeader(final bool, opcode byte, size int) []byte {
	if final {
		opcode |= 0x80
	}
	b := []byte{opcode}
	switch {
	case size < 126:
		return append(b, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
}

// send sends packets in one frame.
func (p *webPeer) send(packets ...wire.Packet) {
	p.t.Helper()
	p.frame(true, opBinary, encoded(p.t, packets...))
}

func encoded(t *testing.T, packets ...wire.Packet) (b []byte) {
	for _, packet := range packets {
		var err error
		b, err = packet.Append(b, wire.V5)
		require.NoError(t, err)
	}
	return b
}

// want takes a frame, which has to be whole, masked and of this kind.
func (p *webPeer) want(opcode byte) []byte {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	var head [2]byte
	_, err := io.ReadFull(p.reader, head[:])
	require.NoError(p.t, err)
	require.Equal(p.t, 0x80|opcode, head[0], "%x", head)
	require.NotZero(p.t, head[1]&0x80, "clients mask")
	size := int(head[1] & 0x7f)
	switch size {
	case 126:
		size = int(binary.BigEndian.Uint16(p.take(2)))
	case 127:
		size = int(binary.BigEndian.Uint64(p.take(8)))
	}
	mask := p.take(4)
	payload := p.take(size)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return payload
}

func (p *webPeer) take(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(p.reader, b)
	require.NoError(p.t, err)
	return b
}

// wantPackets takes a frame with exactly these packets.
func (p *webPeer) wantPackets(packets ...wire.Packet) {
	p.t.Helper()
	require.Equal(p.t, encoded(p.t, packets...), p.want(opBinary))
}

// wantClose takes a close frame with this status, and nothing after it.
func (p *webPeer) wantClose(status uint16) {
	p.t.Helper()
	require.Equal(p.t, binary.BigEndian.AppendUint16(nil, status), p.want(opClose))
}

// wantEnd wants the end of the connection and nothing else.
func (p *webPeer) wantEnd() {
	p.t.Helper()
	b, err := io.ReadAll(p.reader)
	require.NoError(p.t, err)
	require.Empty(p.t, b)
	p.conn.Close()
}

// gateway is a WebSocket server in front of another one: what comes in frames
// goes on as it is, in both directions.
func gateway(t *testing.T, l net.Listener, dial func(context.Context, string, string) (net.Conn, error)) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"mqtt", "mqttv3.1"}})
		if err != nil {
			return
		}
		defer ws.CloseNow()
		back, err := dial(r.Context(), "", "")
		if err != nil {
			return
		}
		relay(websocket.NetConn(context.Background(), ws, websocket.MessageBinary), back)
	})}
	var served sync.WaitGroup
	served.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		served.Wait()
	})
}

// relay copies both ways until one side ends.
func relay(a, b net.Conn) {
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(a, b)
		a.Close()
	})
	io.Copy(b, a)
	b.Close()
	back.Wait()
}
