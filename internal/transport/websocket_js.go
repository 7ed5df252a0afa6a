//go:build js

package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

// inBrowser says that the only network is that of a browser: WebSockets, which it makes
// from a URL as a whole, with names, proxies and TLS of its own.
const inBrowser = true

var (
	errBrowser       = errors.New("a browser reaches servers by ws:// and wss:// only, and by proxies of its own")
	errBrowserDial   = errors.New("a browser carries no WebSocket over a connection of Config.Dial")
	errBrowserHeader = errors.New("a browser sends no header fields of ours with a WebSocket")
	errTextFrame     = errors.New("server sent a WebSocket text frame")
)

// websocketConn is a WebSocket of the browser as the connection at the bottom. It is made
// before its URL is known, and opened by Upgrade. The browser queues what is written and
// what arrives, however much that is, and does not say how much.
type websocketConn struct {
	net.Conn          // our end of the pipe through which what arrives is read
	arriving net.Conn // its other end

	mu     sync.Mutex
	ws     *websocket.Conn // nil: not open yet
	closed bool
}

func newWebsocketConn() *websocketConn {
	near, far := pipe.New(0)
	return &websocketConn{Conn: near, arriving: far}
}

// DialContext returns a connection that is yet to be opened.
func (browserNetwork) DialContext(context.Context, string, string) (net.Conn, error) {
	return newWebsocketConn(), nil
}

// openInBrowser makes c carry a WebSocket, or reports false if c is not the browser's.
func (c *Conn) openInBrowser(ctx context.Context, u Upgrade) (done bool, err error) {
	w, ok := c.bottom.Conn.(*websocketConn)
	switch {
	case ok && !u.Server.WebSocket:
		err = errBrowser
	case ok && len(u.Header) > 0:
		err = errBrowserHeader
	case ok:
		err = w.open(ctx, u)
	default:
		return false, nil
	}
	if err != nil {
		c.Close()
	}
	c.websocket = w
	return true, err
}

// openWebSocket fails: only the browser makes WebSockets.
func openWebSocket(_ context.Context, c *Conn, _ Upgrade) (*websocketConn, error) {
	c.Close()
	return nil, errBrowserDial
}

func (w *websocketConn) open(ctx context.Context, u Upgrade) error {
	ws, _, err := websocket.Dial(ctx, u.Server.requestURL(), &websocket.DialOptions{Subprotocols: u.Subprotocols})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		// The browser says why to its console only. The text of the error has the URL,
		// which may be signed.
		return errors.New("the browser could not open the WebSocket")
	}
	ws.SetReadLimit(-1)
	w.mu.Lock()
	w.ws = ws
	closed := w.closed
	w.mu.Unlock()
	if closed {
		go ws.Close(websocket.StatusNormalClosure, "")
		return net.ErrClosed
	}
	go w.pump(ws) // ends with the WebSocket
	return nil
}

// endings is how often the end of a WebSocket has to be seen before it counts: package
// websocket chooses at random between a message that is there and the end.
const endings = 64

// pump passes on what arrives.
func (w *websocketConn) pump(ws *websocket.Conn) {
	defer w.arriving.Close()
	for ended := 0; ended < endings; {
		kind, message, err := ws.Read(context.Background())
		switch {
		case err != nil:
			ended++
		case kind != websocket.MessageBinary: // [MQTT-6.0.0-1]
			ws.Close(websocket.StatusUnsupportedData, errTextFrame.Error())
			return
		default:
			if _, err := w.arriving.Write(message); err != nil {
				return
			}
		}
	}
}

// Write hands b to the browser, which waits for nothing.
func (w *websocketConn) Write(b []byte) (int, error) {
	w.mu.Lock()
	ws, closed := w.ws, w.closed
	w.mu.Unlock()
	switch {
	case closed:
		return 0, net.ErrClosed
	case ws == nil:
		return 0, errBrowser
	}
	if err := ws.Write(context.Background(), websocket.MessageBinary, b); err != nil {
		return 0, fmt.Errorf("WebSocket: %w", err)
	}
	return len(b), nil
}

// CloseWrite says that nothing more comes. The browser first sends what it has queued.
func (w *websocketConn) CloseWrite() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ws != nil && !w.closed {
		// It returns when the server has answered, or the browser has given up.
		go w.ws.Close(websocket.StatusNormalClosure, "")
	}
	w.closed = true
	return nil
}

// Close ends the connection. No browser can end a WebSocket without its handshake.
func (w *websocketConn) Close() error {
	w.CloseWrite()
	return w.Conn.Close()
}

// SetDeadline sets the deadline of reads. Writes do not wait.
func (w *websocketConn) SetDeadline(t time.Time) error { return w.SetReadDeadline(t) }

// SetWriteDeadline does nothing: writes do not wait.
func (w *websocketConn) SetWriteDeadline(time.Time) error { return nil }

// goesAway is not known: the browser's word for the end does not get here.
func (w *websocketConn) goesAway() bool { return false }

// browserNetwork is the network of a browser.
type browserNetwork struct{ *net.Resolver }

// plainNetwork is that of everybody who sets neither Resolver nor LocalAddr.
var plainNetwork Network = browserNetwork{net.DefaultResolver}
