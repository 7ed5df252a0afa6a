//go:build !js

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

// from returns w, wrapped so that a handler that hijacks the connection gets one with
// limits.
func (t *hijacked) from(w http.ResponseWriter) http.ResponseWriter {
	for inner := w; ; {
		switch next := inner.(type) {
		case http.Hijacker:
			return &hijacker{ResponseWriter: w, from: next, to: t}
		case interface{ Unwrap() http.ResponseWriter }:
			inner = next.Unwrap()
		default:
			return w // HTTP/2, for example; package websocket returns the error
		}
	}
}

// hijacker is a ResponseWriter that notes the connection that is hijacked from it.
type hijacker struct {
	http.ResponseWriter
	from http.Hijacker
	to   *hijacked
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, buffered, err := h.from.Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.to.Conn, h.to.bottom = nc, line.Under(nc)
	if h.to.bottom == nil {
		h.to.bottom = line.New(nc)
		h.to.Conn = h.to.bottom
		// Package websocket takes over the buffers. It makes only the reader use the
		// connection that it gets.
		buffered.Writer.Reset(h.to.bottom)
	}
	return h.to.Conn, buffered, nil
}

// WriteHeaderNow is called by package websocket. It exists for gin, which otherwise
// delays the header.
func (h *hijacker) WriteHeaderNow() {
	if w, ok := h.ResponseWriter.(interface{ WriteHeaderNow() }); ok {
		w.WriteHeaderNow()
	}
}
