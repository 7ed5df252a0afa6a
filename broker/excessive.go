package broker

import (
	"errors"

	"github.com/seed65a45251/mqtt/wire"
)

// excessive refuses a PUBLISH that breaks no rule but has more properties than are decoded,
// because of fault: nobody gets it, and the connection goes on. At QoS 0 nobody is told.
// Any other fault is returned.
func (c *conn) excessive(p *wire.Publish, fault error) error {
	if !errors.Is(fault, wire.QuotaExceeded) {
		return fault
	}
	if p.QoS > wire.AtMostOnce && !c.awaitDisk() {
		return errGone
	}
	deliver, token, err := c.receive(p)
	if err != nil || !deliver {
		return err
	}
	c.b.counts.received.Add(1)
	c.b.cfg.Logger.Debug("message refused", "client", c.peer.ClientID, "topic", p.Topic, "reason", fault)
	if token.IsZero() {
		return nil
	}
	return c.acknowledge(token, wire.QuotaExceeded, "too many properties")
}
