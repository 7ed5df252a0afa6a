package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker"
)

// state is what the broker says of itself over HTTP.
type state struct {
	ready atomic.Bool
	stats func() broker.Stats
}

// handler answers:
//
//	/livez    200 as long as the process runs
//	/readyz   200 while clients can connect, otherwise 503
//	/stats    the figures of the broker as JSON
func (s *state) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(s.stats()) // the reader has gone
	})
	return mux
}

// serve answers at address until stop is called.
func (s *state) serve(address string) (at net.Addr, stop func(), err error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln) // ends with Close
	}()
	return ln.Addr(), func() {
		server.Close()
		<-done
	}, nil
}

// notify tells the service manager of systemd how the program is, if it has asked for that.
func notify(ctx context.Context, what string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unixgram", path)
	if err != nil {
		return // it has gone
	}
	defer c.Close()
	_, _ = c.Write([]byte(what))
}
