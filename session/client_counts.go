package session

// Counts are figures of a [Client] over all its connections.
type Counts struct {
	PacketsSent     uint64 // given to connections; those of one that broke may not have left
	PacketsReceived uint64
	Repeated        uint64 // PUBLISH packets at QoS 1 and 2 that the server may have got before
	Retried         uint64 // refusals after which the message waits to be sent again
	Duplicates      uint64 // received messages at QoS 1 and 2 that were there before
	// Publish measures from a PUBLISH to its PUBACK or PUBREC, for one message at a time.
	Publish RoundTrips
	// Ping measures from each PINGREQ to its PINGRESP.
	Ping RoundTrips
}

// PacketsSent is that of Counts alone.
func (c *Client) PacketsSent() uint64 { return c.link.packets }

// Counts returns the present figures.
func (c *Client) Counts() Counts {
	return Counts{
		PacketsSent:     c.link.packets,
		PacketsReceived: c.packets,
		Repeated:        c.Sender.counts.repeated,
		Retried:         c.Sender.counts.retried,
		Duplicates:      c.Receiver.duplicates,
		Publish:         c.Sender.counts.roundTrips.show(),
		Ping:            c.pings.roundTrips.show(),
	}
}
