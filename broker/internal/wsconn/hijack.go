package wsconn

import (
	"bufio"
	"net"
	"net/http"

	"github.com/seed65a45251/mqtt/internal/line"
)

// hijacked is the connection of a request that has become a WebSocket.
type hijacked struct {
	net.Conn
	bottom *line.Conn // of Conn: below TLS if we have made it
}

// from returns w, but a handler that takes the connection from it gets one with limits.
func (t *hijacked) from(w http.ResponseWriter) http.ResponseWriter {
	for inner := w; ; {
		switch next := inner.(type) {
		case http.Hijacker:
			return &hijacker{ResponseWriter: w, from: next, to: t}
		case interface{ Unwrap() http.ResponseWriter }:
			inner = next.Unwrap()
		default:
			return w // of HTTP/2, say; package websocket explains that
		}
	}
}

// hijacker is a ResponseWriter that keeps the connection which it gives away.
type hijacker struct {
	http.ResponseWriter
	from http.Hijacker
	to   *hijacked
}

// Hijack is that of [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, buffered, err := h.from.Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.to.Conn, h.to.bottom = nc, line.Under(nc)
	if h.to.bottom == nil {
		h.to.bottom = line.New(nc)
		h.to.Conn = h.to.bottom
		// Package websocket takes the buffers, and only that for reading is made to use
		// the connection that it gets.
		buffered.Writer.Reset(h.to.bottom)
	}
	return h.to.Conn, buffered, nil
}

// WriteHeaderNow is what package websocket asks of gin, which otherwise keeps the
// header back.
func (h *hijacker) WriteHeaderNow() {
	if w, ok := h.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		w.WriteHeaderNow()
	}
}
