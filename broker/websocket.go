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
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/seed65a45251/mqtt/internal/pipe"
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

// boundRequests closes connections of an HTTP server when as many as there may be
// clients are no WebSockets yet, and count for nobody else.
func (b *Broker) boundRequests() func(net.Conn, http.ConnState) {
	var waiting atomic.Int64
	return func(nc net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if waiting.Add(1) > int64(b.cfg.Connections) {
				b.counts.refused.Add(1)
				nc.Close()
			}
		case http.StateHijacked, http.StateClosed:
			waiting.Add(-1)
		}
	}
}

// ServeHTTP makes the broker a handler for MQTT over WebSocket, so that it can
// share a server and a port with others. It returns when the connection is over.
// The hooks see TLS and headers of the request.
//
// A broker that lets everybody in refuses requests that did not come over a
// loopback address.
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
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		// [MQTT-6.0.0-4]
		Subprotocols:   subprotocols,
		OriginPatterns: b.cfg.Origins,
	})
	if err != nil {
		b.cfg.Logger.Info("connection refused", "remote", r.RemoteAddr, "reason", err)
		return
	}
	nc, incoming := newWebSocket(ws, local, remoteAddr(r))
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
	net.Conn      // the pipe's end to read from
	ws            *websocket.Conn
	local, remote net.Addr
	ctx           context.Context // ends with Close
	cancel        context.CancelFunc
	closing       sync.WaitGroup // close handshakes

	mu       sync.Mutex // guards what follows
	deadline time.Time  // for writes
	timer    *time.Timer
}

// newWebSocket returns the connection and where to put what comes in.
func newWebSocket(ws *websocket.Conn, local, remote net.Addr) (w *webSocket, incoming net.Conn) {
	ws.SetReadLimit(-1)
	far, near := pipe.New(0)
	w = &webSocket{Conn: far, ws: ws, local: local, remote: remote}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w, near
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
	w.closing.Wait()
}

// Write sends p as one message. A deadline that passes ends the connection.
func (w *webSocket) Write(p []byte) (int, error) {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	w.mu.Lock()
	w.timer = time.AfterFunc(w.left(), cancel)
	w.mu.Unlock()
	err := w.ws.Write(ctx, websocket.MessageBinary, p)
	w.mu.Lock()
	w.timer.Stop()
	w.timer = nil
	w.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// left returns the time up to the deadline.
func (w *webSocket) left() time.Duration {
	if w.deadline.IsZero() {
		return 1<<63 - 1
	}
	return time.Until(w.deadline)
}

// SetWriteDeadline is also for a Write that is under way.
func (w *webSocket) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	if w.timer != nil {
		w.timer.Reset(w.left())
	}
	return nil
}

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
	w.cancel()
	return w.Conn.Close()
}

// LocalAddr returns the address that the client has reached.
func (w *webSocket) LocalAddr() net.Addr { return w.local }

// RemoteAddr returns the address of the client, or of a proxy before it.
func (w *webSocket) RemoteAddr() net.Addr { return w.remote }
