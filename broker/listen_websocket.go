package broker

import (
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/seed65a45251/mqtt/broker/internal/wsconn"
	"github.com/seed65a45251/mqtt/internal/brief"
)

// ServeWebSocket is [Broker.Serve] for MQTT over WebSocket: it runs an HTTP server on
// ln, or an HTTPS server if ln is a listener of package tls. The path of the request
// is ignored.
func (b *Broker) ServeWebSocket(ctx context.Context, ln net.Listener) error {
	return b.serve(ctx, ln, func(_ context.Context, l *listener) error {
		server := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.serveHTTP(w, r, l) }),
			// The request before the WebSocket is short, so it gets only the connect
			// timeout.
			ReadTimeout:    b.cfg.ConnectTimeout,
			WriteTimeout:   b.cfg.ConnectTimeout,
			MaxHeaderBytes: 64 << 10,
			ErrorLog:       log.New(httpLog{b.cfg.Logger}, "", 0),
			ConnState:      boundRequests(b.cfg.Connections, &b.counts.refused),
		}
		defer server.Close()
		return server.Serve(ln)
	})
}

// httpLog logs what package net/http complains of. A TLS handshake that has failed is a
// refused connection, the rest is of no use to anybody.
type httpLog struct{ *slog.Logger }

func (l httpLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	if failed, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		remote, reason, _ := strings.Cut(failed, ": ")
		l.Info("connection refused", "remote", remote, "reason", "TLS handshake: "+reason)
	} else {
		l.Debug(text)
	}
	return len(p), nil
}

// ServeHTTP makes the broker a handler for MQTT over WebSocket, so that it can share
// a server and a port with other handlers. It returns when the connection has ended.
// The hooks see the TLS state and the headers of the request.
//
// A broker without authenticators refuses requests that did not come over a loopback
// address. A request of a web page is refused unless [Config.Origins] or the Host of
// the request permits it.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.serveHTTP(w, r, nil) }

func (b *Broker) serveHTTP(w http.ResponseWriter, r *http.Request, l *listener) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case b.cfg.open() && !isLocal(local):
		http.Error(w, ErrOpen.Error(), http.StatusForbidden)
		return
	case !wsconn.OffersMQTT(r):
		// [MQTT-6.0.0-3] The client has to offer the subprotocol.
		http.Error(w, "WebSocket with subprotocol mqtt expected", http.StatusBadRequest)
		return
	}
	if err := (wsconn.Origins{Patterns: b.cfg.Origins, TLS: b.cfg.TLS}).Check(r, local); err != nil {
		b.cfg.Logger.Info("connection refused", "remote", r.RemoteAddr, "host", brief.Text(r.Host), "origin", brief.Text(r.Header.Get("Origin")), "reason", err)
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	nc, incoming, err := wsconn.Accept(w, r)
	if err != nil {
		b.cfg.Logger.Info("connection refused", "remote", r.RemoteAddr, "reason", err)
		return
	}
	defer nc.Release()
	c := newConn(&b.hub, nc, l)
	c.request = r
	if c, err = b.admit(c); err != nil {
		return
	}
	go b.serveConn(c) // endConns or Close waits for it: admit has counted it
	nc.Pump(incoming)
	<-c.signals.gone
}
