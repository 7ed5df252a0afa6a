package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

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

// requestURL is the URL for the request line and the Host header.
func (s *Server) requestURL() string {
	text, host := "ws://", zoneless(s.Address)
	if s.TLS {
		text = "wss://"
	}
	if s.Unix {
		host = "localhost"
	} else if net.JoinHostPort(s.Host, s.port) == host {
		// Signatures are made over the host without a port that goes without saying.
		host = strings.TrimSuffix(host, ":"+s.port)
	}
	text += host + s.Path
	if s.Query != "" {
		text += "?" + s.Query
	}
	return text
}

// handshake is the transport of one HTTP request over a connection that exists.
// net/http has none: it insists on dialling, and on goroutines of its own.
type handshake struct {
	frames  *frameConn
	offered []string // subprotocols
	err     error    // better than what the library says
}

// maxResponse bounds the header of an HTTP response.
const maxResponse = 64 << 10

// maxQuoted bounds what an error says of it.
const maxQuoted = 200

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
	if !slices.ContainsFunc(h.offered, func(p string) bool { return strings.EqualFold(p, chosen) }) {
		return fmt.Errorf("server chose the WebSocket subprotocol %.40q, not mqtt", chosen)
	}
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

// exchange writes a request to nc and reads the header of the response. early is
// what came behind it.
func exchange(ctx context.Context, nc net.Conn, r *http.Request, write func(io.Writer) error) (_ *http.Response, early []byte, err error) {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Now()) })
	defer func() {
		if !stop() || ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	var request bytes.Buffer
	if err := write(&request); err != nil {
		return nil, nil, err
	}
	if _, err := nc.Write(request.Bytes()); err != nil {
		return nil, nil, err
	}
	limited := &io.LimitedReader{R: nc, N: maxResponse}
	reader := bufio.NewReader(limited)
	response, err := http.ReadResponse(reader, r)
	if err != nil {
		if text := err.Error(); limited.N == 0 {
			err = fmt.Errorf("HTTP response of more than %d bytes", maxResponse)
		} else if len(text) > maxQuoted {
			err = errors.New(text[:maxQuoted]) // it quotes the response, which may be long
		}
		return nil, nil, err
	}
	early, _ = reader.Peek(reader.Buffered())
	return response, early, nil
}
