// Package script holds the names that the scripted server had before it became
// part of package mqtttest.
package script

import (
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// Server is [mqtttest.Server].
type Server = mqtttest.Server

// Conn is [mqtttest.Conn].
type Conn = mqtttest.Conn

// New is [mqtttest.NewServer].
func New(t testing.TB, v wire.Version) *Server { return mqtttest.NewServer(t, v) }

// NewBuffered is [mqtttest.NewServerWith] with the size of the buffers.
func NewBuffered(t testing.TB, v wire.Version, buffer int) *Server {
	return mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: v, Buffer: buffer})
}

// Take is [mqtttest.Take].
func Take[P wire.Packet](c *Conn) P { return mqtttest.Take[P](c) }

// TakeWithin is [mqtttest.TakeWithin].
func TakeWithin[P wire.Packet](c *Conn, d time.Duration) (P, bool) {
	return mqtttest.TakeWithin[P](c, d)
}
