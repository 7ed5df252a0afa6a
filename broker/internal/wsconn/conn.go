// Package wsconn is the server's side of MQTT over WebSocket. It turns a request into
// a [net.Conn] whose limits count the bytes on the wire.
package wsconn

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/internal/pong"
)

// subprotocols are the subprotocols that the broker speaks, in order of preference.
// The second is that of old clients for 3.1.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// OffersMQTT reports whether the client offers a subprotocol of MQTT. [MQTT-6.0.0-3]
func OffersMQTT(r *http.Request) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for offer := range strings.SplitSeq(line, ",") {
			for _, known := range subprotocols {
				if strings.EqualFold(strings.TrimSpace(offer), known) {
					return true
				}
			}
		}
	}
	return false
}

// Conn is a WebSocket as a [net.Conn]. Incoming bytes go through a pipe. Package
// websocket closes a connection when a read takes too long, but a client that was
// silent should get a DISCONNECT first. Frames need no size limit: packets have one,
// and a frame is not held as a whole. [MQTT-6.0.0-2] packets may begin and end
// anywhere in frames.
type Conn struct {
	*line.Conn    // the pipe's end to read from
	ws            *websocket.Conn
	bottom        *line.Conn // below the WebSocket, and TLS if we have made it
	pongs         *pong.Answers
	local, remote net.Addr
	ctx           context.Context // ends when Close is called
	cancel        context.CancelFunc
	closing       sync.WaitGroup // close handshakes
}

// pumpBuffers are used only while a message arrives.
var pumpBuffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// Pump copies the incoming messages to incoming until the connection ends.
func (w *Conn) Pump(incoming net.Conn) {
	defer incoming.Close()
	for {
		kind, message, err := w.ws.Reader(w.ctx)
		// [MQTT-6.0.0-1] only binary frames are allowed.
		if err != nil || kind != websocket.MessageBinary {
			return
		}
		buffer := pumpBuffers.Get().(*[4 << 10]byte)
		_, err = io.CopyBuffer(incoming, message, buffer[:])
		pumpBuffers.Put(buffer)
		if err != nil {
			return
		}
	}
}

// Release frees the resources of a connection that has ended.
func (w *Conn) Release() {
	w.Close()
	_ = w.ws.CloseNow()
	w.pongs.Close()
	w.closing.Wait()
}

// lingerTimeout bounds the time for bytes that are still being sent.
const lingerTimeout = 200 * time.Millisecond

// messageMaximum bounds the messages that we send, so that the answer to a ping does
// not wait for long.
const messageMaximum = 64 << 10

// Write sends p in WebSocket messages of its own. After an error it is unknown how
// much has arrived.
func (w *Conn) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n := min(len(p), messageMaximum)
		if err := w.writeMessage(p[:n]); err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

func (w *Conn) writeMessage(p []byte) error {
	w.pongs.Begin()
	defer w.pongs.End()
	return w.ws.Write(context.Background(), websocket.MessageBinary, p)
}

// Lines returns the layers that the connection is read through, the one nearest the
// wire first.
func (w *Conn) Lines() []*line.Conn { return []*line.Conn{w.bottom, w.Conn} }

// Handshake bounds the time for the handshake, in both directions.
func (w *Conn) Handshake(d time.Duration) error {
	if err := w.bottom.Handshake(d); err != nil {
		return err
	}
	// Package websocket reads all the time and ends in its own way.
	if err := w.bottom.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	return w.Conn.Handshake(d)
}

// Moved returns how many bytes have moved on the wire, and when the last did.
func (w *Conn) Moved() (bytes int64, last time.Time) { return w.bottom.Moved() }

// Finish sets the deadline for the last bytes, in both directions.
func (w *Conn) Finish(t time.Time) error {
	if err := w.Conn.Finish(t); err != nil {
		return err
	}
	return w.bottom.Finish(t)
}

// SetWriteLimit sets the limit for writes on the wire.
func (w *Conn) SetWriteLimit(d time.Duration) { w.bottom.SetWriteLimit(d) }

// SetWriteDeadline sets the deadline for writes on the wire.
func (w *Conn) SetWriteDeadline(t time.Time) error { return w.bottom.SetWriteDeadline(t) }

// SetDeadline sets both deadlines.
func (w *Conn) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}

// CloseWrite sends a close frame. Reading continues until the peer has answered it.
func (w *Conn) CloseWrite() error {
	w.closing.Go(func() { _ = w.ws.Close(websocket.StatusNormalClosure, "") })
	return nil
}

// Close ends the connection. Bytes that are being sent get lingerTimeout.
func (w *Conn) Close() error {
	_ = w.bottom.Finish(time.Now().Add(lingerTimeout))
	w.cancel()
	return w.Conn.Close()
}

// LocalAddr returns the address that the client has reached.
func (w *Conn) LocalAddr() net.Addr { return w.local }

// RemoteAddr returns the address of the client, or of a proxy in front of the broker.
func (w *Conn) RemoteAddr() net.Addr { return w.remote }
