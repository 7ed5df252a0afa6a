package mqtt

import (
	"context"
	"errors"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// refuse breaks the connection off because of err, unless it can be overlooked.
func (k *conn) refuse(ctx context.Context, err error) error {
	overlooked, failed := k.overlook(err)
	switch {
	case overlooked:
		return nil
	case failed != nil:
		if err = failed; !isFault(err) {
			return err
		}
	}
	return k.breakOff(ctx, err)
}

// overlook reads past a PUBLISH that the reader has refused with err because it is too
// large, and reports whether it could: see [session.Client.Tolerant].
func (k *conn) overlook(err error) (bool, error) {
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || fault.Packet != wire.TypePublish || fault.Reason != PacketTooLarge {
		return false, nil
	}
	k.engine.mu.Lock()
	tolerant := k.engine.Tolerant()
	k.engine.mu.Unlock()
	if !tolerant {
		return false, nil
	}
	h, head, failed := k.reader.Skim()
	if failed != nil {
		return false, readError(failed)
	}
	var refused []session.Refused
	k.engine.do(func(engine *session.Client) {
		failed = engine.Overlook(h, head, fault)
		refused = engine.Refused(nil)
	})
	k.tolerance.report()
	k.receiver.tellRefused(refused)
	return failed == nil, failed
}
