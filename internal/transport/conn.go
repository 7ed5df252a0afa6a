package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/seed65a45251/mqtt/internal/line"
)

// Conn is a network connection to a server. At the bottom is the connection of the
// operating system, or what Options.Dial has made; proxies, TLS and a WebSocket may be
// on top of it. Limits and what is said of bytes concern the bottom.
//
// One goroutine may read and one write; the other methods may be called at any time
// unless they say otherwise.
type Conn struct {
	net.Conn // the top: what bytes are written to and read from
	bottom   *line.Conn

	direct     bool           // the top is the bottom, and is a socket
	websocket  *websocketConn // the top; nil: it is something else
	secure     *tls.Conn      // that of Upgrade; nil: there is none
	terms      tlsTerms       // of secure
	firstBytes firstBytes     // of the reader
}

// Read reads what has arrived.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.firstBytes.note(b[:n])
	}
	return n, err
}

// Poll makes c call waits when a Read is about to wait, because it has found nothing. It
// reports whether c can tell, which only a socket can. It is called before the first Read
// and Write of those that are to know of it.
func (c *Conn) Poll(waits func()) bool {
	if !c.bottom.Poll(waits) {
		return false
	}
	c.direct = c.Conn == net.Conn(c.bottom)
	return true
}

// TryRead is Read without waiting, where Direct is true: the error is [line.ErrNothing]
// when nothing has arrived.
func (c *Conn) TryRead(b []byte) (int, error) {
	n, err := c.bottom.TryRead(b)
	if n > 0 {
		c.firstBytes.note(b[:n])
	}
	return n, err
}

// Direct reports whether TryRead can be used and TryWrite can write anything. It is known after Poll.
func (c *Conn) Direct() bool { return c.direct }

// TryWrite writes as much of b as there is space for, without waiting, and returns how
// much that was. Errors are left to the next Write. It must not be called together with
// itself or Write.
func (c *Conn) TryWrite(b []byte) int {
	if !c.direct {
		return 0
	}
	return c.bottom.TryWrite(b)
}

// CloseWrite tells the server that nothing more comes, where there is such a thing.
func (c *Conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close cuts the connection. TLS would want to say something, and wait five seconds for
// that.
func (c *Conn) Close() error {
	err := c.bottom.Close()
	c.Conn.Close()
	return err
}

// SetWriteLimit makes a Write fail when the other side has taken nothing for d, as far as
// that can be known. Zero means no limit.
func (c *Conn) SetWriteLimit(d time.Duration) { c.bottom.SetWriteLimit(d) }

// Finish sets a deadline for everything that no later one postpones.
func (c *Conn) Finish(t time.Time) { _ = c.bottom.Finish(t) } // a connection that is closed needs none

// Heard returns when bytes last arrived, or when the connection began.
func (c *Conn) Heard() time.Time { return c.bottom.Heard() }

// Sent returns how many bytes were written, with those of TLS and WebSocket.
func (c *Conn) Sent() int64 { return c.bottom.Sent() }

// Taken returns how many of the bytes that Sent counts the operating system has passed
// on, if that can be known.
func (c *Conn) Taken() (bytes int64, known bool) { return c.bottom.Taken() }

// GoesAway reports whether the server has closed the WebSocket for a reason of its own.
func (c *Conn) GoesAway() bool { return c.websocket != nil && c.websocket.goesAway() }

// TLS returns what the TLS of Upgrade has agreed on; nil: there is none.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.secure == nil {
		return nil
	}
	return new(c.secure.ConnectionState())
}

// Upgrade says what comes on top of a network connection.
type Upgrade struct {
	Server Server
	TLS    *tls.Config
	Header http.Header // of the WebSocket request
	// Subprotocols are those that the WebSocket request offers.
	Subprotocols []string
}

// Upgrade puts TLS and a WebSocket on c, as the URL of the server says. host is what the
// certificate is checked against. When it fails, c is closed.
func (c *Conn) Upgrade(ctx context.Context, host string, u Upgrade) error {
	if done, err := c.openInBrowser(ctx, u); done || err != nil {
		return err
	}
	if u.Server.TLS {
		conf := u.TLS
		if u.Server.WebSocket && conf.NextProtos == nil {
			// A server that prefers HTTP/2 has to know that it is of no use here.
			conf = conf.Clone()
			conf.NextProtos = []string{"http/1.1"}
		}
		c.terms.plain = u.Server.withoutTLS()
		secure, err := startTLS(ctx, c.Conn, conf, host, &c.terms)
		if err != nil {
			return err
		}
		c.Conn, c.secure = secure, secure.Conn
	}
	if u.Server.WebSocket {
		ws, err := openWebSocket(ctx, c, u)
		if err != nil {
			return c.advise(err)
		}
		c.Conn, c.websocket = ws, ws
	}
	return nil
}
