package mqtt

import "net"

// Network is what SetNetwork takes.
type Network = network

// SetNetwork puts n in the place of the operating system.
func SetNetwork(c *Config, n Network) { c.network = n }

// OrderRecords is orderRecords.
func OrderRecords(records []*net.SRV, random func(n int) int) []*net.SRV {
	return orderRecords(records, random)
}
