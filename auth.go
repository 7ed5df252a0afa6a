package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// ErrAuthenticator is in the error of a connection that the client's own
// Authenticator ended: it failed, or it did not accept what the server said.
var ErrAuthenticator = errors.New("enhanced authentication")

var errAuthTimeout = errors.New("no end of the authentication within the connect timeout")

// Authenticator conducts the client's part of an enhanced authentication (5.0):
// a challenge and response of one or more rounds, such as SCRAM. It is asked for
// a new exchange by every connection and every Reauthenticate, perhaps while an
// earlier one has not returned yet.
//
// Neither it nor the exchange is called with a lock held or on a goroutine that
// serves the connection; ctx ends with Config.ConnectTimeout. A
// function that ignores ctx holds up nobody.
type Authenticator interface {
	// Method names the method of authentication, such as "SCRAM-SHA-256". It is
	// always the same.
	Method() string
	// Start begins an exchange with the data that go first; nil means none.
	Start(ctx context.Context) (exchange AuthExchange, initial []byte, err error)
}

// AuthExchange is one authentication. Its methods are called one after the other.
type AuthExchange interface {
	// Continue answers a challenge of the server; nil means without data.
	Continue(ctx context.Context, challenge []byte) (answer []byte, err error)
	// Finish gets what the server sent with its success, nil if nothing, and
	// returns an error if that does not prove who the server is. Nothing is sent
	// or delivered on a new connection before it returns.
	Finish(ctx context.Context, final []byte) error
}

// authExchange keeps an exchange off the client's own goroutines.
type authExchange struct{ exchange AuthExchange }

// startAuth begins an exchange. Without an Authenticator there is none.
func startAuth(ctx context.Context, a Authenticator) (x authExchange, initial []byte, err error) {
	if a == nil {
		return authExchange{}, nil, nil
	}
	type start struct {
		exchange AuthExchange
		initial  []byte
		err      error
	}
	s, ok := detached(ctx, func() (s start) {
		s.exchange, s.initial, s.err = a.Start(ctx)
		if s.exchange == nil && s.err == nil {
			s.err = errors.New("the Authenticator returned neither an exchange nor an error")
		}
		return s
	})
	switch {
	case !ok:
		return x, nil, context.Cause(ctx)
	case s.err != nil:
		return x, nil, fmt.Errorf("%w: %w", ErrAuthenticator, s.err)
	}
	return authExchange{s.exchange}, s.initial, nil
}

// step takes what the server said and returns the answer.
func (x authExchange) step(ctx context.Context, s session.AuthStep) ([]byte, error) {
	type answer struct {
		data []byte
		err  error
	}
	a, ok := detached(ctx, func() (a answer) {
		if s.Final {
			a.err = x.exchange.Finish(ctx, s.Data)
		} else {
			a.data, a.err = x.exchange.Continue(ctx, s.Data)
		}
		return a
	})
	switch {
	case !ok:
		return nil, context.Cause(ctx)
	case a.err != nil:
		return nil, fmt.Errorf("%w: %w", ErrAuthenticator, a.err)
	}
	return a.data, nil
}

// answerServer conducts a step of the handshake. The last one is left to
// takeConnack to accept.
func (k *conn) answerServer(ctx context.Context, x authExchange, step session.AuthStep) error {
	data, err := x.step(ctx, step)
	if err != nil || step.Final {
		return err
	}
	c := k.client
	c.engine.mu.Lock()
	err = c.engine.Authenticate(data, time.Now())
	answer := c.engine.Take(nil, time.Time{})
	c.engine.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAuthenticator, err)
	}
	return k.writeHandshake(answer)
}

// reauthentication is the Reauthenticate under way. Guarded by engine.mu.
type reauthentication struct {
	steps chan reauthStep // has room for the step that is not answered, and the end
}

type reauthStep struct {
	session.AuthStep
	err error
}

// reauthStepped is called by the engine under engine.mu.
func (c *Client) reauthStepped(step session.AuthStep, err error) {
	select {
	case c.reauth.steps <- reauthStep{step, err}:
	default: // never: a step comes only after the one before it was answered
	}
}

// Reauthenticate authenticates once more on the present connection, for example
// because credentials are about to expire. Other traffic goes on meanwhile. It
// needs a Config.Authenticator and a connection: a new one authenticates anyway.
// One at a time, others wait for their turn.
//
// The exchange is bounded by ctx and Config.ConnectTimeout. If it fails, or ends
// half way, the connection ends with it, as the specification demands, and the
// client connects again with a fresh authentication. A refusal by the server is
// a *ServerError.
func (c *Client) Reauthenticate(ctx context.Context) error {
	fail := func(err error, sent bool) error {
		return &requestError{"reauthenticate", "", sent, err}
	}
	if c.cfg.Authenticator == nil {
		return fail(invalid("Config.Authenticator", "is not set"), false)
	}
	if err := c.requests.turns.take(ctx, reauthTurn); err != nil {
		return fail(err, false)
	}
	defer c.requests.turns.pass(reauthTurn)
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
		k.abandonAuth(err)
		return fail(err, true)
	}
	return nil
}

// reauthTurn is no topic.
const reauthTurn = "\x00reauthenticate"

func (c *Client) beginReauth(initial []byte) (k *conn, steps <-chan reauthStep, err error) {
	ch := make(chan reauthStep, 2)
	c.engine.do(func(engine *session.Client) {
		if err = c.engine.ending; err != nil {
			return
		}
		k, c.reauth.steps = c.engine.conn, ch
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

// abandonAuth ends the connection whose authentication failed because of err.
// [MQTT-4.12.1-2]
func (k *conn) abandonAuth(err error) {
	c := k.client
	var e notices
	c.engine.mu.Lock()
	present := c.engine.conn == k && c.engine.Connected()
	if present {
		if c.engine.Disconnect(&wire.Disconnect{ReasonCode: UnspecifiedError}) != nil {
			c.engine.Fail(err)
		}
		k.leave(err)
	}
	c.engine.unlock(&e)
	if present {
		k.hurry()
	}
}

func (c *Config) validateAuthenticator() error {
	if c.Authenticator == nil {
		return nil
	}
	if c.Version == V31 || c.Version == V311 {
		return invalid("Config.Authenticator", "MQTT %v has no enhanced authentication", c.Version)
	}
	method := c.Authenticator.Method()
	if method == "" {
		return invalid("Config.Authenticator", "names no method")
	}
	return validateText("Config.Authenticator: method", method)
}
