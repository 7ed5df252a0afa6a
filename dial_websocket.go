package mqtt

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

	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/internal/pong"
)

// HTTPError is the answer of a server to the WebSocket handshake, or of an HTTP
// proxy to CONNECT, that is not the one needed. Redirections are not followed:
// the headers and the query of the request may be secret.
type HTTPError struct {
	Proxy      bool // a proxy said it
	StatusCode int
}

// Error names who said what.
func (e *HTTPError) Error() string {
	who := "server answered the WebSocket handshake with"
	if e.Proxy {
		who = "proxy answered CONNECT with"
	}
	return fmt.Sprintf("%s %d %s", who, e.StatusCode, http.StatusText(e.StatusCode))
}

// openWebSocket makes nc, which it takes over, carry a WebSocket.
func openWebSocket(ctx context.Context, nc net.Conn, p *plan, v Version) (net.Conn, error) {
	frames := &frameConn{Conn: nc}
	offered := subprotocols(v)
	handshake := &upgrade{frames: frames, offered: offered}
	pongs := pong.New(extraFrames{frames}, true)
	ws, _, err := websocket.Dial(ctx, p.server.requestURL(), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport:     handshake,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:   p.header,
		Host:         p.header.Get("Host"),
		Subprotocols: offered,

		OnPingReceived: pongs.Received,
	})
	if err != nil {
		cut(nc, line.Under(nc))
		return nil, handshake.explain(ctx, err)
	}
	// A message may hold any number of packets, so there is no limit to it that
	// would be right. The packets themselves are limited as they arrive, in
	// wire.Reader.
	ws.SetReadLimit(-1)
	frames.open = true
	return &websocketConn{ws: ws, frames: frames, pongs: pongs}, nil
}

// subprotocols are offered in this order. [MQTT-6.0.0-3]
func subprotocols(v Version) []string {
	if v == V31 {
		return []string{"mqttv3.1", "mqtt"}
	}
	return []string{"mqtt"}
}

// requestURL is the URL for the request line and the Host header.
func (s *server) requestURL() string {
	text, host := "ws://", zoneless(s.address)
	if s.tls {
		text = "wss://"
	}
	if s.unix {
		host = "localhost"
	} else if net.JoinHostPort(s.host, s.port) == host {
		// Signatures are made over the host without a port that goes without saying.
		host = strings.TrimSuffix(host, ":"+s.port)
	}
	text += host + s.path
	if s.query != "" {
		text += "?" + s.query
	}
	return text
}

// upgrade is the transport of one HTTP request over a connection that exists.
// net/http has none: it insists on dialling, and on goroutines of its own.
type upgrade struct {
	frames  *frameConn
	offered []string // subprotocols
	err     error    // better than what the library says
}

// maxResponse bounds the header of an HTTP response.
const maxResponse = 64 << 10

// maxQuoted bounds what an error says of it.
const maxQuoted = 200

func (u *upgrade) RoundTrip(r *http.Request) (*http.Response, error) {
	response, early, err := exchange(r.Context(), u.frames.Conn, r, r.Write)
	if err != nil {
		u.err = fmt.Errorf("WebSocket handshake: %w", err)
		return nil, u.err
	}
	if u.err = u.judge(response); u.err != nil {
		return nil, u.err
	}
	u.frames.ahead = early
	response.Body = u.frames
	return response, nil
}

func (u *upgrade) judge(r *http.Response) error {
	if r.StatusCode != http.StatusSwitchingProtocols {
		return &HTTPError{StatusCode: r.StatusCode}
	}
	// [MQTT-6.0.0-4] the server has to choose. One that does not is useless to
	// browsers, so those that speak MQTT do.
	chosen := r.Header.Get("Sec-WebSocket-Protocol")
	if chosen == "" {
		return errors.New("server chose no WebSocket subprotocol, not even mqtt")
	}
	if !slices.ContainsFunc(u.offered, func(p string) bool { return strings.EqualFold(p, chosen) }) {
		return fmt.Errorf("server chose the WebSocket subprotocol %.40q, not mqtt", chosen)
	}
	return nil
}

// explain replaces the error of a failed handshake: the library's tells the URL,
// which may be signed, and quotes headers of any length.
func (u *upgrade) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case u.err != nil:
		return u.err
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
