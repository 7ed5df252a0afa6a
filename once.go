package mqtt

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

// PublishOnce connects, publishes msgs in their order, and disconnects when the server
// has them all. It reconnects if it has to, under ctx. Without msgs it does nothing.
//
// When some messages fail, the others are still sent, and the error joins all failures.
// NotSent(err) is true if no message reached the server.
func PublishOnce(ctx context.Context, server string, cfg Config, msgs ...*Message) error {
	for _, m := range msgs {
		if err := packetOf(m, new(wire.Publish), new(terms)); err != nil {
			return err
		}
	}
	if len(msgs) == 0 {
		return nil
	}
	client, err := Connect(ctx, server, cfg)
	if err != nil {
		return &requestError{"publish once", "", false, inner{err}}
	}
	defer client.Close()
	err = client.publishAll(ctx, msgs)
	// What was accepted is acknowledged by now, and what ctx has cut off is in err.
	if left := client.Disconnect(ctx); err == nil {
		return left
	}
	return err
}

func (c *Client) publishAll(ctx context.Context, msgs []*Message) error {
	var deliveries []*Delivery
	var errs []error
	for _, m := range msgs {
		d, err := c.PublishAsync(ctx, m)
		if err != nil {
			errs = append(errs, inner{err})
			break // ctx or the client has ended: later ones would overtake this one
		}
		deliveries = append(deliveries, d)
	}
	sent := false
	for _, d := range deliveries {
		select {
		case <-d.Done():
		case <-ctx.Done():
			c.Close() // which ends the rest
			<-d.Done()
		}
		_, err := d.result()
		if err != nil && ctx.Err() != nil {
			err = &requestError{"publish", d.out.Publish.Topic, d.out.Sent(), context.Cause(ctx)}
		}
		sent = sent || !NotSent(err)
		if err != nil {
			errs = append(errs, inner{err})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &requestError{"publish once", "", sent, err}
	}
	return nil
}

// ReceiveOnce connects, subscribes to filter, takes n messages and disconnects. With
// cfg.Resume, further messages at QoS 1 and 2 stay on the server for the next
// connection of this client. When ctx or the client ends first, it returns the messages
// that have come, with the reason.
func ReceiveOnce(ctx context.Context, server string, cfg Config, filter string, n int) ([]*Message, error) {
	fail := func(err error) ([]*Message, error) {
		return nil, &requestError{"receive once", filter, false, err}
	}
	if n < 1 {
		return fail(invalid("number of messages", "%d is less than 1", n))
	}
	o := SubscribeOptions{Filters: []Filter{{Filter: filter, QoS: ExactlyOnce}}}
	if err := o.validate(); err != nil {
		return fail(err)
	}
	client, err := Connect(ctx, server, cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	sub, err := client.SubscribeWith(ctx, o)
	if err != nil {
		return nil, err
	}
	var received []*Message
	for len(received) < n {
		m, err := sub.Next(ctx)
		if err != nil {
			return received, &requestError{"receive once", filter, true, fmt.Errorf("%d of %d messages: %w", len(received), n, err)}
		}
		received = append(received, m)
	}
	// All is there. Unsubscribing would drop what came beyond, and nobody takes it.
	sub.queue.leftAlone()
	_ = client.Disconnect(ctx)
	return received, nil
}
