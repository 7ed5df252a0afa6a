package broker

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/seed65a45251/mqtt/wire"
)

// A hook that panics answers no, and ends the connection that it was asked about: what
// it was about to decide nobody knows. The program and everybody else go on. All hooks
// are called through the functions of this file.

// brokenText is what the client of a hook is told that has panicked.
const brokenText = "a hook of the server failed"

// brokenDecision is what a hook says that panics.
func brokenDecision() Decision {
	return Decision{verdict: denied, code: wire.ImplementationSpecificError, text: brokenText, broken: true}
}

// complain logs a panic with its stack. peer may be nil.
func (b *Broker) complain(hook any, peer *Peer, panicked any) {
	id := ""
	if peer != nil {
		id = peer.ClientID
	}
	b.cfg.Logger.Error("hook panicked", "hook", fmt.Sprintf("%T", hook), "client", id, "panic", panicked, "stack", string(debug.Stack()))
}

func (b *Broker) askAuthenticator(ctx context.Context, hook Authenticator, l *Login) (d Decision) {
	defer func() {
		if v := recover(); v != nil {
			b.complain(hook, &l.Peer, v)
			d = brokenDecision()
		}
	}()
	return hook.Authenticate(ctx, l)
}

func (b *Broker) askAuthorizer(hook Authorizer, a *Access) (d Decision) {
	defer func() {
		if v := recover(); v != nil {
			b.complain(hook, a.Peer, v)
			d = brokenDecision()
		}
	}()
	return hook.Authorize(b.ctx, a)
}

// method returns the name of an authentication method, or nothing if that panics.
func (b *Broker) method(a EnhancedAuthenticator, peer *Peer) (name string) {
	defer func() {
		if v := recover(); v != nil {
			b.complain(a, peer, v)
		}
	}()
	return a.AuthenticationMethod()
}

// beginExchange returns an exchange that says no if the method panics or has none.
func (b *Broker) beginExchange(by EnhancedAuthenticator, l *Login) (x Exchange) {
	defer func() {
		if v := recover(); v != nil {
			b.complain(by, &l.Peer, v)
			x = nil
		}
		if x == nil {
			x = brokenExchange{}
		}
	}()
	return by.Begin(l)
}

func (b *Broker) nextStep(ctx context.Context, x Exchange, peer *Peer, data []byte) (answer []byte, d Decision) {
	defer func() {
		if v := recover(); v != nil {
			b.complain(x, peer, v)
			answer, d = nil, brokenDecision()
		}
	}()
	return x.Next(ctx, data)
}

// brokenExchange is that of a method which cannot begin one.
type brokenExchange struct{}

func (brokenExchange) Next(context.Context, []byte) ([]byte, Decision) {
	return nil, brokenDecision()
}

// observe tells all observers. One that panics hinders none of the others.
func (b *Broker) observe(e Event) {
	for _, o := range b.cfg.Observers {
		b.tell(o, e)
	}
}

func (b *Broker) tell(o Observer, e Event) {
	defer func() {
		if v := recover(); v != nil {
			peer := peerOf(e)
			b.complain(o, peer, v)
			if peer != nil {
				b.breakOff(peer)
			}
		}
	}()
	o.Observe(e)
}

// peerOf returns the client that the event is about; nil: none.
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
	return nil // or it is gone
}

// breakOff ends the connection of peer, if it still has it.
func (b *Broker) breakOff(peer *Peer) {
	b.mu.RLock()
	cl := b.clients[peer.ClientID]
	b.mu.RUnlock()
	if cl == nil {
		return
	}
	cl.mu.Lock()
	c := cl.conn
	if cl.seen.peer != peer {
		c = nil
	}
	cl.mu.Unlock()
	if c != nil {
		c.fail(&refusal{code: wire.ImplementationSpecificError, text: brokenText})
	}
}

// contain makes an error of a panic in a function of [Config.TLS], which runs when the
// first bytes are read. It is deferred.
func (c *conn) contain(err *error) {
	if v := recover(); v != nil {
		c.b.complain(c.b.cfg.TLS, nil, v)
		*err = fmt.Errorf("TLS: panic: %v", v)
	}
}
