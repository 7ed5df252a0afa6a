package mqtt

import (
	"context"
	"math"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// publishHooked is publishMessage with hooks.
func (c *Client) publishHooked(ctx context.Context, o Operation, m *Message) error {
	_, p := c.hooks.beginPublish(ctx, o, m)
	err := c.publishSeen(ctx, p)
	p.end(p.ack, err)
	return err
}

// publishSeen publishes what hooks have seen.
func (c *Client) publishSeen(ctx context.Context, p *published) error {
	packet, t := wire.Publish{}, terms{}
	if err := packetOf(p.Message, &packet, &t); err != nil {
		return err
	}
	if err := addOptional(&packet, p.added); err != nil {
		return err
	}
	t.ack = &p.ack
	return c.publish(ctx, &packet, t)
}

// publishAsyncHooked is publishAsync with hooks.
func (c *Client) publishAsyncHooked(ctx context.Context, m *Message, d *Delivery) (*Delivery, error) {
	_, p := c.hooks.beginPublish(ctx, OperationPublish, m)
	if len(p.done) > 0 {
		d.tell(func(ack Ack, err error) { c.hooks.reportLocked(p, d, ack, err) })
	}
	accepted, err := c.publishAsync(ctx, p.Message, p.added, d)
	if err != nil {
		p.end(Ack{}, err)
	}
	return accepted, err
}

// addOptional adds user properties to p that are left out where they cannot be sent.
func addOptional(p *wire.Publish, added []UserProperty) error {
	if len(added) == 0 {
		return nil
	}
	err := validateUserProperties(added)
	if len(added) > math.MaxUint16 {
		err = invalid("user properties", "hooks have added %d, more than 65535", len(added))
	}
	if err != nil {
		return &requestError{"publish", p.Topic, false, err}
	}
	var q wire.PublishProperties
	if p.Properties != nil {
		q = *p.Properties
	}
	q.UserProperties = slices.Concat(q.UserProperties, added)
	q.OptionalUserProperties = uint16(len(added))
	p.Properties = &q
	return nil
}
