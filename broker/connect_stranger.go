package broker

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// opening is how a peer begins.
type opening struct {
	bytes [8]byte
	n     int
}

func (o *opening) note(b []byte) { o.n = copy(o.bytes[:], b) }

// speaks returns what begins so and is not MQTT; empty: nothing that is known.
func (o *opening) speaks() string {
	for _, other := range [...]struct{ begins, name string }{
		{"\x16\x03", "TLS"}, // a handshake
		{"\x15\x03", "TLS"}, // an alert
		{"GET ", "HTTP"},
		{"POST ", "HTTP"},
		{"PRI * HT", "HTTP"}, // version 2
	} {
		if bytes.HasPrefix(o.bytes[:o.n], []byte(other.begins)) {
			return other.name
		}
	}
	return ""
}

// explainStranger adds to err, which came before any CONNECT, that the peer speaks
// something else than the port, or why TLS was not agreed on. A peer that can be told is
// told.
func (c *conn) explainStranger(begun *opening, err error) error {
	if secured, ok := c.given.(*tls.Conn); ok && !secured.ConnectionState().HandshakeComplete {
		return c.explainTLS(secured.NetConn(), err)
	}
	if other := begun.speaks(); other != "" {
		c.lingerOn(c.net, nil)
		return fmt.Errorf("client speaks %s and this port does not: %w", other, err)
	}
	return err
}

// plainAlert is what TLS says to a peer that does not speak it: an unexpected message.
var plainAlert = []byte{21, 3, 3, 0, 2, 2, 10}

// explainTLS words that the handshake failed. nc is the connection below. The alert that
// says why to the peer must not be lost because the peer goes on.
func (c *conn) explainTLS(nc net.Conn, err error) error {
	if other, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if other.Conn != nil {
			c.lingerOn(nc, plainAlert)
		}
		return fmt.Errorf("client does not speak TLS, which this port does: %w", err)
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return fmt.Errorf("client has refused TLS, perhaps the certificate: %w", err)
	}
	if _, ended := errors.AsType[*net.OpError](err); !ended && !errors.Is(err, io.EOF) {
		c.lingerOn(nc, nil)
	}
	return fmt.Errorf("TLS handshake: %w", err)
}

// lingerOn sends the last bytes on nc, which is c or what c is made of, and gives the peer
// the time to read them.
func (c *conn) lingerOn(nc net.Conn, b []byte) {
	c.reader = nil
	c.intake.end()
	_ = c.line.Finish(time.Now().Add(min(farewellTimeout, c.hub.cfg.WriteTimeout)))
	if len(b) > 0 {
		n, err := nc.Write(b)
		c.hub.counts.bytesSent.Add(uint64(n))
		if err != nil {
			return
		}
	}
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	defer c.hub.counts.lingering.Add(-1)
	if c.hub.counts.lingering.Add(1) <= lingerMaximum && nc.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.Copy(io.Discard, nc)
	}
}
