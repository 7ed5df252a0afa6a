package broker

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/seed65a45251/mqtt/broker/internal/wsconn"
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
			ConnState:      boundRequests(b.cfg.Connections, &b.counts.refused),
		}
		defer server.Close()
		return server.Serve(ln)
	})
}

// ServeHTTP makes the broker a handler for MQTT over WebSocket, so that it can
// share a server and a port with others. It returns when the connection is over.
// The hooks see TLS and headers of the request.
//
// A broker that lets everybody in refuses requests that did not come over a
// loopback address. Requests of web pages are refused unless [Config.Origins] or the
// Host that the request is for permits them.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.serveHTTP(w, r, nil) }

func (b *Broker) serveHTTP(w http.ResponseWriter, r *http.Request, l *listener) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case b.cfg.open() && !isLocal(local):
		http.Error(w, ErrOpen.Error(), http.StatusForbidden)
		return
	case !wsconn.OffersMQTT(r):
		// [MQTT-6.0.0-3] the client has to offer it.
		http.Error(w, "WebSocket with subprotocol mqtt expected", http.StatusBadRequest)
		return
	}
	if err := (wsconn.Origins{Patterns: b.cfg.Origins, TLS: b.cfg.TLS}).Check(r, local); err != nil {
		b.cfg.Logger.Info("connection refused", "remote", r.RemoteAddr, "host", r.Host, "origin", r.Header.Get("Origin"), "reason", err)
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
