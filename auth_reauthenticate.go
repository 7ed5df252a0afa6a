package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Reauthenticate authenticates once more on the present connection, for example because
// credentials are about to expire. Other traffic continues meanwhile. It needs a
// Config.Authenticator and a connection; a new connection authenticates anyway. Calls
// run one at a time.
//
// ctx and Config.ConnectTimeout bound the exchange. If it fails or ends half way, the
// connection ends with it, as the specification demands, and the client connects again
// with a fresh authentication. A refusal by the server is a *ServerError.
func (c *Client) Reauthenticate(ctx context.Context) error {
	fail := func(err error, sent bool) error {
		return &requestError{"reauthenticate", "", sent, err}
	}
	if c.cfg.Authenticator == nil {
		return fail(invalid("Config.Authenticator", "is not set"), false)
	}
	if ctx.Err() != nil {
		return fail(context.Cause(ctx), false)
	}
	select {
	case c.reauth.lock <- struct{}{}:
		defer func() { <-c.reauth.lock }()
	case <-ctx.Done():
		return fail(context.Cause(ctx), false)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout, errAuthTimeout)
	defer cancel()
	x, initial, err := startAuth(ctx, c.cfg.Authenticator)
	if err != nil {
		return fail(err, false)
	}
	k, steps, err := c.beginReauth(initial)
	if err != nil {
		return fail(err, false)
	}
	if err := c.conductReauth(ctx, x, steps); err != nil {
		c.abandonAuth(k, err)
		return fail(err, true)
	}
	return nil
}

func (c *Client) beginReauth(initial []byte) (k *conn, steps <-chan reauthStep, err error) {
	ch := make(chan reauthStep, 2)
	c.engine.do(func(engine *session.Client) {
		if err = c.engine.ending; err != nil {
			return
		}
		k, c.reauth.steps = c.conn, ch
		err = engine.Reauthenticate(initial)
	})
	return k, ch, err
}

// conductReauth answers the server until it is content.
func (c *Client) conductReauth(ctx context.Context, x authExchange, steps <-chan reauthStep) error {
	for {
		var s reauthStep
		select {
		case s = <-steps:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if ending := c.engine.endingCause(); ending != nil && errors.Is(s.err, ErrConnectionLost) {
			return ending // which is why the connection ended
		}
		if isFault(s.err) { // by which the server has ended the connection
			return fmt.Errorf("%w: %w", ErrConnectionLost, s.err)
		}
		if s.err != nil {
			return s.err
		}
		data, err := x.step(ctx, s.AuthStep)
		if err != nil {
			return err
		}
		c.engine.do(func(engine *session.Client) { err = engine.Authenticate(data, time.Now()) })
		if errors.Is(err, session.ErrNoAuthentication) {
			continue // the connection has ended, and the reason is in steps
		}
		if err != nil || s.Final {
			return err
		}
	}
}

// abandonAuth ends connection k, whose authentication failed because of err.
// [MQTT-4.12.1-2]
func (c *Client) abandonAuth(k *conn, err error) {
	present := false
	c.engine.do(func(engine *session.Client) {
		if present = c.conn == k && engine.Connected(); present {
			if engine.Disconnect(&wire.Disconnect{ReasonCode: UnspecifiedError}) != nil {
				engine.Fail(err)
			}
			k.leaveLocked(err)
		}
	})
	if present {
		k.limitLeaving()
	}
}
