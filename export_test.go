package mqtt

import "github.com/seed65a45251/mqtt/internal/transport"

// Network is what SetNetwork takes.
type Network = transport.Network

// SetNetwork puts n in the place of the operating system: that is how tests have names
// and SRV records of their own in fake time.
func SetNetwork(c *Config, n Network) { c.network = n }
