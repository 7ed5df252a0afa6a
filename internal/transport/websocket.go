//go:build !js

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/coder/websocket"

	"github.com/seed65a45251/mqtt/internal/pong"
)

// websocketConn is a connection whose bytes travel in binary messages.
// [MQTT-6.0.0-2] packets and messages are not aligned in either direction.
//
// The library's own net.Conn starts timers for deadlines, and closes by a
// handshake of up to five seconds; here deadlines are those of the connection
// below, and contexts that cannot end cost nothing per message.
type websocketConn struct {
	ws      *websocket.Conn
	frames  *frameConn
	pongs   *pong.Answers
	message io.Reader            // under way; nil: none
	status  websocket.StatusCode // with which the server has closed it; 0: it has not
}

const (
	// maxFrame is the most that goes into one frame. Servers have limits here,
	// 64 KiB where they are built on Netty, 32 KiB with the library that we use.
	maxFrame = 32 << 10
	// maxChunk is the most that is read at once. The library waits until it is
	// there, also when it holds several packets.
	maxChunk = 16 << 10
)

var errTextFrame = errors.New("server sent a WebSocket text frame")

func (w *websocketConn) Read(b []byte) (int, error) {
	for {
		if w.message == nil {
			kind, message, err := w.ws.Reader(context.Background())
			if err != nil {
				return 0, w.ended(err)
			}
			// [MQTT-6.0.0-1]
			if kind != websocket.MessageBinary {
				w.closeFrame(websocket.StatusUnsupportedData)
				return 0, errTextFrame
			}
			w.message = message
		}
		n, err := w.message.Read(b[:min(len(b), maxChunk)])
		if err == io.EOF {
			w.message, err = nil, nil
		}
		if err != nil {
			return n, w.ended(err)
		}
		if n > 0 || len(b) == 0 {
			return n, nil
		}
	}
}

// ended words the end of the stream. It is io.EOF whenever the server ended it.
func (w *websocketConn) ended(err error) error {
	closing, said := errors.AsType[websocket.CloseError](err)
	if said {
		w.status = closing.Code
	}
	switch {
	case said && (closing.Code == websocket.StatusNormalClosure || closing.Code == websocket.StatusGoingAway):
		return io.EOF
	case said:
		return fmt.Errorf("server closed the WebSocket with status %d %.123q: %w", closing.Code, closing.Reason, io.EOF)
	case w.frames.ended:
		return io.EOF
	}
	return err
}

// Write sends b in frames of its own. After an error, what has arrived is unknown.
func (w *websocketConn) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		n := min(len(b), maxFrame)
		if err := w.writeFrame(b[:n]); err != nil {
			return written, err
		}
		written += n
		b = b[n:]
	}
	return written, nil
}

func (w *websocketConn) writeFrame(b []byte) error {
	w.pongs.Begin()
	defer w.pongs.End()
	return w.ws.Write(context.Background(), websocket.MessageBinary, b)
}

// CloseWrite says that nothing more comes. The server answers with the same and
// closes.
func (w *websocketConn) CloseWrite() error {
	return w.closeFrame(websocket.StatusNormalClosure)
}

func (w *websocketConn) closeFrame(code websocket.StatusCode) error {
	w.pongs.Begin()
	defer w.pongs.End()
	return w.frames.closeFrame(code)
}

// Close cuts the connection.
func (w *websocketConn) Close() error {
	err := w.ws.CloseNow()
	w.pongs.Close()
	return err
}

func (w *websocketConn) LocalAddr() net.Addr                { return w.frames.LocalAddr() }
func (w *websocketConn) RemoteAddr() net.Addr               { return w.frames.RemoteAddr() }
func (w *websocketConn) SetDeadline(t time.Time) error      { return w.frames.SetDeadline(t) }
func (w *websocketConn) SetReadDeadline(t time.Time) error  { return w.frames.SetReadDeadline(t) }
func (w *websocketConn) SetWriteDeadline(t time.Time) error { return w.frames.SetWriteDeadline(t) }

// goesAway says that the server has closed the WebSocket for a reason of its own.
func (w *websocketConn) goesAway() bool {
	switch w.status {
	case websocket.StatusGoingAway, websocket.StatusServiceRestart, websocket.StatusTryAgainLater:
		return true
	}
	return false
}
