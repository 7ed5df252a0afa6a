// Package wsconn is MQTT over WebSocket on the side of the server: a request becomes a
// [net.Conn] whose limits count the bytes on the wire.
package wsconn

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/internal/pong"
)

// subprotocols are those that the broker speaks, in order of preference. The
// second is that of old clients for 3.1.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// OffersMQTT reports whether the client of a request speaks MQTT. [MQTT-6.0.0-3]
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

func remoteAddr(r *http.Request) net.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return pipe.Addr{} // of a server that is no socket
	}
	return net.TCPAddrFromAddrPort(addr)
}

// Conn is a WebSocket as a [net.Conn]. What arrives goes through a pipe, for
// package websocket closes a connection when a read takes too long, and a client
// that was silent should be told so. Frames need no limit then: packets have
// theirs, and a frame is not held as a whole. [MQTT-6.0.0-2] nor does it matter how
// packets lie in frames.
type Conn struct {
	*line.Conn    // the pipe's end to read from
	ws            *websocket.Conn
	bottom        *line.Conn // below the WebSocket, and TLS if we have made it
	pongs         *pong.Answers
	local, remote net.Addr
	ctx           context.Context // ends with Close
	cancel        context.CancelFunc
	closing       sync.WaitGroup // close handshakes
}

// Accept answers r. It returns the connection and where to put what comes in.
func Accept(w http.ResponseWriter, r *http.Request) (_ *Conn, incoming net.Conn, err error) {
	var hijacked hijacked
	pongs := pong.New(&hijacked, false)
	ws, err := websocket.Accept(hijacked.from(w), r, &websocket.AcceptOptions{
		// [MQTT-6.0.0-4]
		Subprotocols:       subprotocols,
		InsecureSkipVerify: true, // see Origins.Check
		OnPingReceived:     pongs.Received,
	})
	if err != nil {
		return nil, nil, err
	}
	ws.SetReadLimit(-1)
	far, near := pipe.New(0)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	s := &Conn{Conn: line.Follow(far, hijacked.bottom), ws: ws, bottom: hijacked.bottom, pongs: pongs, local: local, remote: remoteAddr(r)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, near, nil
}

// pumpBuffers are only in use while a message comes in.
var pumpBuffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// Pump moves what comes in until the connection is over.
func (w *Conn) Pump(incoming net.Conn) {
	defer incoming.Close()
	for {
		kind, message, err := w.ws.Reader(w.ctx)
		// [MQTT-6.0.0-1] only binary frames.
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

// Release frees what the connection has after its end.
func (w *Conn) Release() {
	w.Close()
	_ = w.ws.CloseNow()
	w.pongs.Close()
	w.closing.Wait()
}

// lingerTimeout is how long the last bytes may take that are on their way.
const lingerTimeout = 200 * time.Millisecond

// messageMaximum bounds a message that we send, so that an answer to a ping does not
// wait for long.
const messageMaximum = 64 << 10

// Write sends p in messages of its own. After an error, what has arrived is unknown.
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

// Lines returns what the connection is read through, beginning at the wire.
func (w *Conn) Lines() []*line.Conn { return []*line.Conn{w.bottom, w.Conn} }

// Handshake is for both directions.
func (w *Conn) Handshake(d time.Duration) error {
	if err := w.bottom.Handshake(d); err != nil {
		return err
	}
	// Package websocket reads all the time, and has its own way to end.
	if err := w.bottom.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	return w.Conn.Handshake(d)
}

// Moved counts what moves on the wire.
func (w *Conn) Moved() (bytes int64, last time.Time) { return w.bottom.Moved() }

// Finish is for both directions.
func (w *Conn) Finish(t time.Time) error {
	if err := w.Conn.Finish(t); err != nil {
		return err
	}
	return w.bottom.Finish(t)
}

// SetWriteLimit is for the wire.
func (w *Conn) SetWriteLimit(d time.Duration) { w.bottom.SetWriteLimit(d) }

// SetWriteDeadline is for the wire.
func (w *Conn) SetWriteDeadline(t time.Time) error { return w.bottom.SetWriteDeadline(t) }

// SetDeadline sets both deadlines.
func (w *Conn) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}

// CloseWrite tells the peer that nothing follows. Reading goes on until the peer
// has answered.
func (w *Conn) CloseWrite() error {
	w.closing.Go(func() { _ = w.ws.Close(websocket.StatusNormalClosure, "") })
	return nil
}

// Close cuts the connection.
func (w *Conn) Close() error {
	_ = w.bottom.Finish(time.Now().Add(lingerTimeout))
	w.cancel()
	return w.Conn.Close()
}

// LocalAddr returns the address that the client has reached.
func (w *Conn) LocalAddr() net.Addr { return w.local }

// RemoteAddr returns the address of the client, or of a proxy before it.
func (w *Conn) RemoteAddr() net.Addr { return w.remote }
