//go:build !js

package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"github.com/seed65a45251/mqtt/internal/pong"
)

// openWebSocket makes c carry a WebSocket. When it fails, c is closed.
func openWebSocket(ctx context.Context, c *Conn, u Upgrade) (*websocketConn, error) {
	frames := &frameConn{Conn: c.Conn}
	handshake := &handshake{frames: frames, offered: u.Subprotocols}
	pongs := pong.New(extraFrames{frames}, true)
	ws, _, err := websocket.Dial(ctx, u.Server.requestURL(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     handshake,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:   u.Header,
		Host:         u.Header.Get("Host"),
		Subprotocols: u.Subprotocols,

		OnPingReceived: pongs.Received,
	})
	if err != nil {
		c.Close()
		return nil, handshake.explain(ctx, err)
	}
	// A message may hold any number of packets, so there is no limit to it that
	// would be right. The packets themselves are limited as they arrive, in
	// wire.Reader.
	ws.SetReadLimit(-1)
	frames.open = true
	return &websocketConn{ws: ws, frames: frames, pongs: pongs}, nil
}

// handshake is the transport of one HTTP request over a connection that exists.
// net/http has none: it insists on dialling, and on goroutines of its own.
type handshake struct {
	frames  *frameConn
	offered []string // subprotocols
	err     error    // better than what the library says
}

func (h *handshake) RoundTrip(r *http.Request) (*http.Response, error) {
	response, early, err := exchange(r.Context(), h.frames.Conn, r, r.Write)
	if err != nil {
		h.err = fmt.Errorf("WebSocket handshake: %w", err)
		return nil, h.err
	}
	if h.err = h.judge(response); h.err != nil {
		return nil, h.err
	}
	h.frames.ahead = early
	response.Body = h.frames
	return response, nil
}

func (h *handshake) judge(r *http.Response) error {
	if r.StatusCode != http.StatusSwitchingProtocols {
		return &HTTPError{StatusCode: r.StatusCode}
	}
	// [MQTT-6.0.0-4] the server has to choose. One that does not is useless to
	// browsers, so those that speak MQTT do.
	chosen := r.Header.Get("Sec-WebSocket-Protocol")
	if chosen == "" {
		return errors.New("server chose no WebSocket subprotocol, not even mqtt")
	}
	// RabbitMQ repeats the whole list that it was offered, so the first of it counts.
	first := ""
	for name := range strings.SplitSeq(chosen, ",") {
		name = strings.TrimSpace(name)
		if !slices.ContainsFunc(h.offered, func(p string) bool { return strings.EqualFold(p, name) }) {
			return fmt.Errorf("server chose the WebSocket subprotocol %.40q, not mqtt", chosen)
		}
		first = cmp.Or(first, name)
	}
	r.Header.Set("Sec-WebSocket-Protocol", first)
	return nil
}

// explain replaces the error of a failed handshake: the library's tells the URL,
// which may be signed, and quotes headers of any length.
func (h *handshake) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case h.err != nil:
		return h.err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("WebSocket handshake: %.200s", err.Error())
}
