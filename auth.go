package mqtt

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/session"
)

// ErrAuthenticator is in the error of a connection that the client's own Authenticator
// ended: it failed, or it did not accept what the server sent.
var ErrAuthenticator = errors.New("enhanced authentication")

var errAuthTimeout = fmt.Errorf("no end of the authentication within the connect timeout: %w", context.DeadlineExceeded)

// Authenticator conducts the client's part of an enhanced authentication (5.0): a
// challenge and response of one or more rounds, such as SCRAM. Every connection and
// every Reauthenticate starts a new exchange, perhaps before an earlier one has
// returned.
//
// The Authenticator and the exchange are called without a lock held, on a goroutine
// that serves no connection. ctx ends with Config.ConnectTimeout. A function that
// ignores ctx holds up nothing else.
type Authenticator interface {
	// Method names the method of authentication, such as "SCRAM-SHA-256". It is
	// always the same.
	Method() string
	// Start begins an exchange. initial is the data for CONNECT or the first AUTH; nil
	// means none.
	Start(ctx context.Context) (exchange AuthExchange, initial []byte, err error)
}

// AuthExchange is one authentication. Its methods are called one after the other.
type AuthExchange interface {
	// Continue answers a challenge of the server. A nil answer is sent without data.
	Continue(ctx context.Context, challenge []byte) (answer []byte, err error)
	// Finish gets the data that the server sent with its success, nil if none. It
	// returns an error if they do not prove the server's identity. On a new connection
	// nothing is sent or delivered before it returns.
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

// reauthentication is the Reauthenticate under way.
type reauthentication struct {
	lock  chan struct{}   // has space for one: the call that has its turn; nil: there is no Authenticator
	steps chan reauthStep // has space for the step that is not answered, and the end; guarded by engine.mu
}

type reauthStep struct {
	session.AuthStep
	err error
}

// stepped is called by the engine under engine.mu.
func (r *reauthentication) stepped(step session.AuthStep, err error) {
	select {
	case r.steps <- reauthStep{step, err}:
	default: // never: a step comes only after the one before it was answered
	}
}
