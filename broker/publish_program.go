package broker

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Publish sends a message to all subscribers, as a client would. It waits only for
// the [Config.Store], and only if the message has QoS 1 or 2 and is retained or goes
// to a session that is stored: when Publish returns, that message is durable. It
// ignores PacketID, Duplicate, the topic alias and the subscription identifiers. The
// broker copies what it keeps.
//
// The error is [ErrClosed], or unwraps to a [wire.ReasonCode] or [match.Error] that
// says why no subscriber got the message.
func (b *Broker) Publish(p *wire.Publish) error {
	if b.ctx.Err() != nil {
		return b.ended()
	}
	if err := match.ValidateTopic(p.Topic); err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	if b.cfg.tooDeep(p.Topic) {
		return fmt.Errorf("mqtt: publish: %w", wire.TopicNameInvalid)
	}
	if err := session.RefusePublish(p, b.cfg.announced()); err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	w := works.Get().(*work)
	defer w.release()
	code, err := b.publishOwn(&w.router, p, time.Now())
	if err != nil {
		return fmt.Errorf("mqtt: publish: %w", err)
	}
	if b.hooks.observed() {
		b.hooks.observe(Published{nil, p, code})
	}
	if code.Failed() {
		return fmt.Errorf("mqtt: publish: %w", code)
	}
	return nil
}

// publishOwn publishes a message of the program and waits for the store if it has to.
func (h *hub) publishOwn(r *router, p *wire.Publish, now time.Time) (code wire.ReasonCode, err error) {
	if h.persistence.Stores() {
		if err := records.CheckPublish(p); err != nil {
			return 0, err
		}
		if p.QoS > wire.AtMostOnce && !h.persistence.Admit(h.ctx, nil, nil) {
			return 0, ErrClosed
		}
	}
	code, pending := h.publish(r, newMessage(p, "", now), now, publisher{})
	r.flush()
	if pending == nil {
		return code, nil
	}
	select {
	case code = <-pending.answered:
		return code, nil
	case <-h.persistence.Ended():
	case <-h.ctx.Done():
	}
	select {
	case code = <-pending.answered:
		return code, nil
	default:
		return 0, ErrClosed
	}
}
