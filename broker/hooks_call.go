package broker

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/seed65a45251/mqtt/internal/brief"
	"github.com/seed65a45251/mqtt/wire"
)

// A hook that panics counts as a no, and ends the connection that it was asked about,
// because its decision is unknown. The program and all other connections continue. All
// hooks are called through the functions of this file.

// brokenDecision is the decision of a hook that panics.
func brokenDecision() Decision {
	return Decision{verdict: denied, code: wire.ImplementationSpecificError, text: brokenText, broken: true}
}

// hooks are the hooks of a Config, as they are called.
type hooks struct {
	cfg      *Config
	counts   *statsCounters
	ctx      context.Context // ends with the broker
	breakOff func(*Peer)     // ends the connection of a client, if it still has it
}

// logPanic logs a panic with its stack. peer may be nil.
func (h *hooks) logPanic(hook any, peer *Peer, panicked any) {
	id := ""
	if peer != nil {
		id = peer.ClientID
	}
	h.cfg.Logger.Error("hook panicked", "hook", fmt.Sprintf("%T", hook), "client", brief.Text(id), "panic", panicked, "stack", string(debug.Stack()))
}

func (h *hooks) askAuthenticator(ctx context.Context, hook Authenticator, l *Login) (d Decision) {
	defer func() {
		if v := recover(); v != nil {
			h.logPanic(hook, &l.Peer, v)
			d = brokenDecision()
		}
	}()
	return hook.Authenticate(ctx, l)
}

func (h *hooks) askAuthorizer(hook Authorizer, a *Access) (d Decision) {
	defer func() {
		if v := recover(); v != nil {
			h.logPanic(hook, a.Peer, v)
			d = brokenDecision()
		}
	}()
	return hook.Authorize(h.ctx, a)
}

// method returns the name of an authentication method, or "" if the hook panics.
func (h *hooks) method(a EnhancedAuthenticator, peer *Peer) (name string) {
	defer func() {
		if v := recover(); v != nil {
			h.logPanic(a, peer, v)
		}
	}()
	return a.AuthenticationMethod()
}

// beginExchange returns an exchange that says no if the hook panics or returns none.
func (h *hooks) beginExchange(by EnhancedAuthenticator, l *Login) (x Exchange) {
	defer func() {
		if v := recover(); v != nil {
			h.logPanic(by, &l.Peer, v)
			x = nil
		}
		if x == nil {
			x = brokenExchange{}
		}
	}()
	return by.Begin(l)
}

func (h *hooks) nextStep(ctx context.Context, x Exchange, peer *Peer, data []byte) (answer []byte, d Decision) {
	defer func() {
		if v := recover(); v != nil {
			h.logPanic(x, peer, v)
			answer, d = nil, brokenDecision()
		}
	}()
	return x.Next(ctx, data)
}

// brokenExchange is the exchange of a method that could not begin one.
type brokenExchange struct{}

func (brokenExchange) Next(context.Context, []byte) ([]byte, Decision) {
	return nil, brokenDecision()
}

// observe tells all observers. If one panics, the others are still told.
func (h *hooks) observe(e Event) {
	for _, o := range h.cfg.Observers {
		h.tell(o, e)
	}
}

func (h *hooks) tell(o Observer, e Event) {
	defer func() {
		if v := recover(); v != nil {
			peer := peerOf(e)
			h.logPanic(o, peer, v)
			if peer != nil {
				h.breakOff(peer)
			}
		}
	}()
	o.Observe(e)
}

// peerOf returns the client that the event is about and whose connection is still
// there; nil: none.
func peerOf(e Event) *Peer {
	switch e := e.(type) {
	case Connected:
		return e.Peer
	case Subscribed:
		return e.Peer
	case Unsubscribed:
		return e.Peer
	case Published:
		return e.Peer
	}
	return nil // the connection has ended, or there is no client
}

// observed reports whether events are worth making.
func (h *hooks) observed() bool { return len(h.cfg.Observers) > 0 }
