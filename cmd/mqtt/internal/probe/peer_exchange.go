package probe

import (
	"context"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func (k *peer) id() uint16 {
	k.nextID++
	return k.nextID
}

// subscribe returns the codes of SUBACK, one for each filter.
func (k *peer) subscribe(ctx context.Context, p *wire.Subscribe) ([]wire.ReasonCode, error) {
	p.PacketID = k.id()
	if err := k.send(p); err != nil {
		return nil, err
	}
	answer, err := k.answer(ctx, func(a wire.Packet) bool {
		ack, ok := a.(*wire.Suback)
		return ok && ack.PacketID == p.PacketID
	})
	if err != nil {
		return nil, err
	}
	ack := answer.(*wire.Suback)
	for _, code := range ack.ReasonCodes {
		if code.Failed() {
			return ack.ReasonCodes, &refusedError{wire.TypeSuback, code, ack.ReasonString}
		}
	}
	return ack.ReasonCodes, nil
}

// filter subscribes to one filter without options.
func (k *peer) filter(ctx context.Context, filter string, qos wire.QoS) error {
	_, err := k.subscribe(ctx, &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: filter, QoS: qos}}})
	return err
}

func (k *peer) unsubscribe(ctx context.Context, filters ...string) (*wire.Unsuback, error) {
	p := &wire.Unsubscribe{PacketID: k.id(), Filters: filters}
	if err := k.send(p); err != nil {
		return nil, err
	}
	answer, err := k.answer(ctx, func(a wire.Packet) bool {
		ack, ok := a.(*wire.Unsuback)
		return ok && ack.PacketID == p.PacketID
	})
	if err != nil {
		return nil, err
	}
	return answer.(*wire.Unsuback), nil
}

// publish sends a message and returns the code of its acknowledgement.
func (k *peer) publish(ctx context.Context, m *wire.Publish) (wire.ReasonCode, error) {
	if m.QoS > 0 {
		m.PacketID = k.id()
	}
	if err := k.send(m); err != nil || m.QoS == 0 {
		return 0, err
	}
	return k.published(ctx, m)
}

// published waits for the acknowledgement of a message that was sent.
func (k *peer) published(ctx context.Context, m *wire.Publish) (wire.ReasonCode, error) {
	answer, err := k.answer(ctx, func(a wire.Packet) bool {
		switch a := a.(type) {
		case *wire.Puback:
			return a.PacketID == m.PacketID
		case *wire.Pubrec:
			return a.PacketID == m.PacketID
		}
		return false
	})
	if err != nil {
		return 0, err
	}
	if ack, ok := answer.(*wire.Puback); ok {
		return refused(wire.TypePuback, ack.ReasonCode, ack.ReasonString)
	}
	rec := answer.(*wire.Pubrec)
	if code, err := refused(wire.TypePubrec, rec.ReasonCode, rec.ReasonString); err != nil {
		return code, err
	}
	if err := k.send(&wire.Pubrel{PacketID: m.PacketID}); err != nil {
		return 0, err
	}
	answer, err = k.answer(ctx, func(a wire.Packet) bool {
		ack, ok := a.(*wire.Pubcomp)
		return ok && ack.PacketID == m.PacketID
	})
	if err != nil {
		return 0, err
	}
	comp := answer.(*wire.Pubcomp)
	if comp.ReasonCode.Failed() {
		return comp.ReasonCode, &refusedError{wire.TypePubcomp, comp.ReasonCode, comp.ReasonString}
	}
	return rec.ReasonCode, nil
}

func refused(t wire.PacketType, code wire.ReasonCode, reason string) (wire.ReasonCode, error) {
	if code.Failed() {
		return code, &refusedError{t, code, reason}
	}
	return code, nil
}

// ping returns the time from PINGREQ to PINGRESP.
func (k *peer) ping(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if err := k.send(&wire.Pingreq{}); err != nil {
		return 0, err
	}
	_, err := k.answer(ctx, func(p wire.Packet) bool { return p.Type() == wire.TypePingresp })
	return time.Since(start), err
}
