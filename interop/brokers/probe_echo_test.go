package brokers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt"
)

// goesOn fails the test if a client does not work any more: a refusal of one thing must
// not stop the others.
func (p *probe) goesOn(c *mqtt.Client) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	topic := p.topic()
	if err := echo(ctx, c, topic); err != nil {
		p.Errorf("the client does not go on: %v", err)
	}
}

// echo sends a message to itself.
func echo(ctx context.Context, c *mqtt.Client, topic string) error {
	sub, err := c.Subscribe(ctx, topic, mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	if err := c.Publish(ctx, topic, []byte("echo"), mqtt.AtLeastOnce); err != nil {
		return err
	}
	m, err := sub.Next(ctx)
	if err == nil && string(m.Payload) != "echo" {
		err = fmt.Errorf("got %q", m.Payload)
	}
	return errors.Join(err, sub.Unsubscribe(ctx))
}

// impatient reconnects at once, for what ends one connection after another.
func impatient(cfg mqtt.Config) mqtt.Config {
	cfg.Reconnect.Min, cfg.Reconnect.Max = time.Millisecond, 10*time.Millisecond
	return cfg
}
