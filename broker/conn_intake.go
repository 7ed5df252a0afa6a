package broker

import "github.com/seed65a45251/mqtt/broker/internal/census"

// fill implements bulk.
func (c *conn) fill(p []byte) (int, error) {
	n, err := c.net.Read(p)
	c.b.counts.bytesReceived.Add(uint64(n))
	return n, err
}

// begun implements bulk.
func (c *conn) begun() int { return len(c.reader.Buffered()) }

// quota implements bulk.
func (c *conn) quota(client bool) *quota {
	if client {
		return c.b.packets
	}
	return c.b.connects
}

// holderName implements bulk.
func (c *conn) holderName() string {
	if c.peer == nil {
		return census.AddressOf(c.net.RemoteAddr()).String()
	}
	return c.tenant()
}

// bulky implements bulk.
func (c *conn) bulky() {
	c.b.doors.bulk(c, &c.standing, census.AddressOf(c.net.RemoteAddr()))
}
