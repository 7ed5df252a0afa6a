package mqtt

import (
	"errors"

	"github.com/seed65a45251/mqtt/wire"
)

// overlook reads past a PUBLISH that the reader has refused with err because it is too
// large, and reports whether it could: see [session.Client.Tolerant].
func (k *conn) overlook(err error) (bool, error) {
	c := k.client
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || fault.Packet != wire.TypePublish || fault.Reason != PacketTooLarge {
		return false, nil
	}
	c.engine.mu.Lock()
	tolerant := c.engine.Tolerant()
	c.engine.mu.Unlock()
	if !tolerant {
		return false, nil
	}
	h, head, failed := k.reader.Skim()
	if failed != nil {
		return false, readError(failed)
	}
	var e notices
	c.engine.mu.Lock()
	failed = c.engine.Overlook(h, head, fault)
	refused := c.engine.Refused(nil)
	c.engine.unlock(&e)
	k.receiver.tellRefused(refused)
	return failed == nil, failed
}
