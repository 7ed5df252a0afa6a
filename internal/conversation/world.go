package conversation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// ErrUnreachable is what dialling says where World has no server.
var ErrUnreachable = errors.New("unreachable")

// World is a network with servers in memory. It notes what is dialled.
type World struct {
	Servers map[string]*mqtttest.Server // by address; nil: never answers

	mu      sync.Mutex
	dialled []string
}

// DialContext is for Config.Dial.
func (w *World) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialled = append(w.dialled, address)
	srv, ok := w.Servers[address]
	w.mu.Unlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("%s %w", address, ErrUnreachable)
	case srv == nil:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return srv.Dial(ctx, network, address)
}

// Took returns what was dialled since it was last called.
func (w *World) Took() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.dialled = nil }()
	return w.dialled
}

// Config is a configuration for a client in w that sends nothing on its own.
func (w *World) Config() mqtt.Config {
	return mqtt.Config{ClientID: "c1", Version: mqtt.V5, KeepAlive: -1, Dial: w.DialContext}
}

// Cluster is a world of servers with the addresses 10.0.0.1 and up, port 1883.
func Cluster(t *testing.T, n int) (*World, []*mqtttest.Server) {
	w := &World{Servers: map[string]*mqtttest.Server{}}
	var servers []*mqtttest.Server
	for i := range n {
		s := mqtttest.NewServer(t, wire.V5)
		w.Servers[fmt.Sprintf("10.0.0.%d:1883", i+1)] = s
		servers = append(servers, s)
	}
	return w, servers
}

// Use is a CONNACK that names other servers to use for now.
func Use(reference string) *wire.Connack {
	return &wire.Connack{ReasonCode: wire.UseAnotherServer, ServerReference: reference}
}

// Moved is a CONNACK that names the servers to use from now on.
func Moved(reference string) *wire.Connack {
	return &wire.Connack{ReasonCode: wire.ServerMoved, ServerReference: reference}
}
