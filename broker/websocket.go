package broker

import (
	"context"
	"io"
	"log/slog"
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

// ServeWebSocket is [Broker.Serve] for MQTT over WebSocket: it runs an HTTP server
// on ln, or an HTTPS server if ln is one of package tls. Every path leads to the
// broker.
func (b *Broker) ServeWebSocket(ctx context.Context, ln net.Listener) error {
	return b.serve(ctx, ln, func(_ context.Context, l *listener) error {
		server := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.serveHTTP(w, r, l) }),
			// What comes before the WebSocket is short and has no time to lose.
			ReadTimeout:    b.cfg.ConnectTimeout,
			WriteTimeout:   b.cfg.ConnectTimeout,
			MaxHeaderBytes: 64 << 10,
			ErrorLog:       slog.NewLogLogger(b.cfg.Logger.Handler(), slog.LevelDebug),
			ConnState:      b.boundRequests(),
		}
		defer server.Close()
		return server.Serve(ln)
	})
}

// ServeHTTP makes the broker a handler for MQTT over WebSocket, so that it can
// share a server and a port with others. It returns when the connection is over.
// The hooks see TLS and headers of the request.
//
// A broker that lets everybody in refuses requests that did not come over a
// loopback address. Requests of web pages are refused unless [Config.Origins] or the
// Host that the request is for permits them.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.serveHTTP(w, r, nil) }

func (b *Broker) serveHTTP(w http.ResponseWriter, r *http.Request, l *listener) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case b.cfg.open() && !isLocal(local):
		http.Error(w, ErrOpen.Error(), http.StatusForbidden)
		return
	case !offersMQTT(r):
		// [MQTT-6.0.0-3] the client has to offer it.
		http.Error(w, "WebSocket with subprotocol mqtt expected", http.StatusBadRequest)
		return
	}
	if err := b.checkOrigin(r, local); err != nil {
		b.cfg.Logger.Info("connection refused", "remote", r.RemoteAddr, "host", r.Host, "origin", r.Header.Get("Origin"), "reason", err)
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	nc, incoming, err := b.acceptWebSocket(w, r)
	if err != nil {
		b.cfg.Logger.Info("connection refused", "remote", r.RemoteAddr, "reason", err)
		return
	}
	defer nc.release()
	c := newConn(b, nc, l)
	c.request = r
	if c, err = b.admit(c); err != nil {
		return
	}
	go c.serve() // endConns or Close waits for it: admit has counted it
	nc.pump(incoming)
	<-c.signals.gone
}

// subprotocols are those that the broker speaks, in order of preference. The
// second is that of old clients for 3.1.
var subprotocols = []string{"mqtt", "mqttv3.1"}

func offersMQTT(r *http.Request) bool {
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

// webSocket is a WebSocket as a [net.Conn]. What arrives goes through a pipe, for
// package websocket closes a connection when a read takes too long, and a client
// that was silent should be told so. Frames need no limit then: packets have
// theirs, and a frame is not held as a whole. [MQTT-6.0.0-2] nor does it matter how
// packets lie in frames.
type webSocket struct {
	*line.Conn    // the pipe's end to read from
	ws            *websocket.Conn
	bottom        *line.Conn // below the WebSocket, and TLS if we have made it
	pongs         *pong.Answers
	local, remote net.Addr
	ctx           context.Context // ends with Close
	cancel        context.CancelFunc
	closing       sync.WaitGroup // close handshakes
}

// acceptWebSocket answers r. It returns the connection and where to put what comes in.
func (b *Broker) acceptWebSocket(w http.ResponseWriter, r *http.Request) (_ *webSocket, incoming net.Conn, err error) {
	var hijacked hijacked
	pongs := pong.New(&hijacked, false)
	ws, err := websocket.Accept(hijacked.from(w), r, &websocket.AcceptOptions{
		// [MQTT-6.0.0-4]
		Subprotocols:       subprotocols,
		InsecureSkipVerify: true, // see checkOrigin
		OnPingReceived:     pongs.Received,
	})
	if err != nil {
		return nil, nil, err
	}
	ws.SetReadLimit(-1)
	far, near := pipe.New(0)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	s := &webSocket{Conn: line.Follow(far, hijacked.bottom), ws: ws, bottom: hijacked.bottom, pongs: pongs, local: local, remote: remoteAddr(r)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, near, nil
}

// pumpBuffers are only in use while a message comes in.
var pumpBuffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// pump moves what comes in until the connection is over.
func (w *webSocket) pump(incoming net.Conn) {
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

// release frees what the connection has after its end.
func (w *webSocket) release() {
	w.Close()
	_ = w.ws.CloseNow()
	w.pongs.Close()
	w.closing.Wait()
}

// messageMaximum bounds a message that we send, so that an answer to a ping does not
// wait for long.
const messageMaximum = 64 << 10

// Write sends p in messages of its own. After an error, what has arrived is unknown.
func (w *webSocket) Write(p []byte) (written int, err error) {
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

func (w *webSocket) writeMessage(p []byte) error {
	w.pongs.Begin()
	defer w.pongs.End()
	return w.ws.Write(context.Background(), websocket.MessageBinary, p)
}

// Handshake is for both directions.
func (w *webSocket) Handshake(d time.Duration) error {
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
func (w *webSocket) Moved() (bytes int64, last time.Time) { return w.bottom.Moved() }

// Finish is for both directions.
func (w *webSocket) Finish(t time.Time) error {
	if err := w.Conn.Finish(t); err != nil {
		return err
	}
	return w.bottom.Finish(t)
}

// SetWriteLimit is for the wire.
func (w *webSocket) SetWriteLimit(d time.Duration) { w.bottom.SetWriteLimit(d) }

// SetWriteDeadline is for the wire.
func (w *webSocket) SetWriteDeadline(t time.Time) error { return w.bottom.SetWriteDeadline(t) }

// SetDeadline sets both deadlines.
func (w *webSocket) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}

// CloseWrite tells the peer that nothing follows. Reading goes on until the peer
// has answered.
func (w *webSocket) CloseWrite() error {
	w.closing.Go(func() { _ = w.ws.Close(websocket.StatusNormalClosure, "") })
	return nil
}

// Close cuts the connection.
func (w *webSocket) Close() error {
	_ = w.bottom.Finish(time.Now().Add(lingerTimeout))
	w.cancel()
	return w.Conn.Close()
}

// LocalAddr returns the address that the client has reached.
func (w *webSocket) LocalAddr() net.Addr { return w.local }

// RemoteAddr returns the address of the client, or of a proxy before it.
func (w *webSocket) RemoteAddr() net.Addr { return w.remote }
