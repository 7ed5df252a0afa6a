package conversation

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/wire"
)

// Opcodes of RFC 6455.
const (
	OpContinuation = 0
	OpText         = 1
	OpBinary       = 2
	OpClose        = 8
	OpPing         = 9
	OpPong         = 10
)

// WebPeer is the server's side of a WebSocket, frame by frame.
type WebPeer struct {
	t       *testing.T
	Conn    net.Conn
	Reader  *bufio.Reader
	Request *http.Request
}

// WebServer accepts connections in memory.
type WebServer struct {
	t        *testing.T
	Listener *pipe.Listener
}

// NewWebServer returns a server that ends with the test.
func NewWebServer(t *testing.T) *WebServer {
	s := &WebServer{t, pipe.Listen(1 << 20)}
	t.Cleanup(func() { s.Listener.Close() })
	return s
}

// Config is a configuration for a client of s that sends nothing on its own.
func (s *WebServer) Config() mqtt.Config {
	return mqtt.Config{ClientID: "c1", Version: mqtt.V5, KeepAlive: -1,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Listener.Dial(ctx) }}
}

// Accept takes a connection and its HTTP request.
func (s *WebServer) Accept() *WebPeer {
	s.t.Helper()
	conn, err := s.Listener.Accept()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	p := &WebPeer{t: s.t, Conn: conn, Reader: bufio.NewReader(conn)}
	p.Request, err = http.ReadRequest(p.Reader)
	require.NoError(s.t, err)
	return p
}

// Switched takes a connection and agrees to speak WebSocket.
func (s *WebServer) Switched() *WebPeer {
	s.t.Helper()
	p := s.Accept()
	p.Agree("mqtt")
	return p
}

// Connected takes a connection up to CONNACK.
func (s *WebServer) Connected() *WebPeer {
	s.t.Helper()
	p := s.Switched()
	p.Want(OpBinary)
	p.Send(&wire.Connack{})
	return p
}

// Agree answers the request; an empty subprotocol means none.
func (p *WebPeer) Agree(subprotocol string) {
	sum := sha1.Sum([]byte(p.Request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	text := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
	if subprotocol != "" {
		text += "Sec-WebSocket-Protocol: " + subprotocol + "\r\n"
	}
	p.Say(text + "\r\n")
}

// Say sends text as it is.
func (p *WebPeer) Say(text string) {
	_, err := io.WriteString(p.Conn, text)
	require.NoError(p.t, err)
}

// Frame sends one frame.
func (p *WebPeer) Frame(final bool, opcode byte, payload []byte) {
	p.t.Helper()
	_, err := p.Conn.Write(append(FrameHeader(final, opcode, len(payload)), payload...))
	require.NoError(p.t, err)
}

// FrameHeader is the header of a frame that is not masked.
func FrameHeader(final bool, opcode byte, size int) []byte {
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

// Send sends packets in one frame.
func (p *WebPeer) Send(packets ...wire.Packet) {
	p.t.Helper()
	p.Frame(true, OpBinary, Encoded(p.t, packets...))
}

// Want takes a frame, which has to be whole, masked and of this kind.
func (p *WebPeer) Want(opcode byte) []byte {
	p.t.Helper()
	require.NoError(p.t, p.Conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	var head [2]byte
	_, err := io.ReadFull(p.Reader, head[:])
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

func (p *WebPeer) take(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(p.Reader, b)
	require.NoError(p.t, err)
	return b
}

// WantPackets takes a frame with exactly these packets.
func (p *WebPeer) WantPackets(packets ...wire.Packet) {
	p.t.Helper()
	require.Equal(p.t, Encoded(p.t, packets...), p.Want(OpBinary))
}

// WantClose takes a close frame with this status, and nothing after it.
func (p *WebPeer) WantClose(status uint16) {
	p.t.Helper()
	require.Equal(p.t, binary.BigEndian.AppendUint16(nil, status), p.Want(OpClose))
}

// WantEnd wants the end of the connection and nothing else.
func (p *WebPeer) WantEnd() {
	p.t.Helper()
	b, err := io.ReadAll(p.Reader)
	require.NoError(p.t, err)
	require.Empty(p.t, b)
	p.Conn.Close()
}
