package broker

import (
	"net"

	"github.com/seed65a45251/mqtt/wire"
)

// Login is what a client says about itself when it connects.
type Login struct {
	Peer
	Password []byte   // nil: none
	Conn     net.Conn // for its addresses or TLS state; not to be read, written or closed
}

// Peer is a client as the hooks see it.
type Peer struct {
	ClientID string
	Username string // empty: none
	Version  wire.Version
}
