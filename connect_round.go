package mqtt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/internal/transport"
)

// round is one walk over all servers, with as many redirections as they ask for
// and we follow.
type round struct {
	number int   // since the connection was lost, from 1
	cause  error // why the last connection or round failed; nil: there was none
}

// roundError is what the servers of one round said.
type roundError struct {
	err   error
	final bool // the last of them is permanent
}

func (e *roundError) Error() string { return e.err.Error() }
func (e *roundError) Unwrap() error { return e.err }

// tryRound tries one server after the other, until one accepts.
func (c *connector) tryRound(ctx context.Context, r round) (*conn, error) {
	todo := c.servers.round(c.cfg.ServerOrder)
	alone := len(todo) == 1
	var errs []error
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		k, p, err := c.tryServer(ctx, r, t)
		if err == nil {
			c.servers.connected(t, p.referrer(t))
			c.backoff.Connected(time.Now())
			return k, nil
		}
		c.client.attemptFailed(failedAttempt{r.number, t.server.String(), err, p != nil, ctx.Err() != nil})
		if asked, ok := redirection(err); ok && p != nil {
			named, refused := c.follow(ctx, p.referrer(t), asked)
			alone = alone && refused != nil
			todo = slices.Concat(named, todo)
			if err = refused; err == nil {
				err = asked
			}
		}
		if alone {
			return nil, err // the caller asks whether it is permanent
		}
		errs = append(errs, fmt.Errorf("%s: %w", t.server.Address, err))
		if ctx.Err() != nil {
			break
		}
		// A server that another one has named cannot end the client.
		if !t.redirected && c.permanent(ctx, err) {
			return nil, &roundError{transport.Join(errs...), true}
		}
	}
	return nil, &roundError{transport.Join(errs...), false}
}

// tryServer tries one server at all of its endpoints. The plan is nil if it came to
// none.
func (c *connector) tryServer(ctx context.Context, r round, t target) (*conn, *plan, error) {
	c.client.setState(Event{State: Connecting, Attempt: r.number, Server: t.server.Address})
	limited, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout, errConnectTimeout)
	defer cancel()
	p, err := c.plan(limited, r, t)
	if err != nil {
		return nil, nil, err
	}
	found, err := c.dialer.Endpoints(limited, p.server.Server)
	if err != nil {
		return nil, p, because(limited, invalidOption(err))
	}
	var errs []error
	for _, e := range found {
		k, err := c.tryEndpoint(ctx, p, e)
		if err == nil {
			return k, p, nil
		}
		if _, asked := redirection(err); asked || len(found) > 1 && saidSomething(err) && c.permanent(ctx, err) {
			return nil, p, err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, p, transport.Join(errs...)
}

// because adds why ctx ended to an error that may just be a consequence.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		return transport.Join(context.Cause(ctx), err)
	}
	return err
}

// tryEndpoint tries all addresses of one endpoint: the next if one does not answer, and
// also if one answers without being of use.
func (c *connector) tryEndpoint(ctx context.Context, p *plan, e transport.Endpoint) (*conn, error) {
	limited, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout, errConnectTimeout)
	defer cancel()
	addrs, err := c.dialer.Addresses(limited, e)
	if err != nil {
		return nil, because(limited, err)
	}
	var errs []error
	for len(addrs) > 0 && ctx.Err() == nil {
		k, rest, err := c.tryAddresses(ctx, p, e, addrs)
		if err == nil {
			return k, nil
		}
		errs = append(errs, err)
		if saidSomething(err) {
			break // the other addresses lead to the same server
		}
		addrs = rest
	}
	if len(errs) == 0 {
		return nil, context.Cause(ctx)
	}
	return nil, transport.Join(errs...)
}

// tryAddresses makes one connection to whichever of addrs answers first, and returns which
// others are left. It ends when nothing moves for the connect timeout.
func (c *connector) tryAddresses(ctx context.Context, p *plan, e transport.Endpoint, addrs []string) (_ *conn, rest []string, _ error) {
	ctx, cancel := transport.WithTimeout(ctx, c.cfg.ConnectTimeout, errConnectTimeout)
	defer cancel()
	nc, addr, rest, err := c.dialer.Race(ctx, e, addrs)
	if err != nil {
		return nil, nil, because(ctx, err)
	}
	server := p.at(e)
	known := c.versions.of(server)
	chosen := c.versions.first(known)
	k, err := c.handshake(ctx, nc, p, e, addr, chosen)
	if err != nil {
		if other, ok := c.versions.other(known, chosen, err); ok {
			k, err = c.tryVersion(ctx, p, e, addr, other, err)
			chosen = other
		}
	}
	c.refusals.note(server, p, err)
	if err != nil {
		return nil, rest, err
	}
	known.accepted(chosen)
	c.accepted = true
	if p.clientID == "" {
		c.assigned = k.clientID
	}
	c.evictions.connected(server, p)
	return k, nil, nil
}

// tryVersion connects once more to addr with another version, because err ended
// the connection with the first. A server that refuses that too has said more about
// the first than about the second, unless it names a reason. A server that has refused
// the first and fails at the second may be in trouble that passes, so its refusal does
// not stand for both.
func (c *connector) tryVersion(ctx context.Context, p *plan, e transport.Endpoint, addr string, other versionChoice, err error) (*conn, error) {
	nc, otherErr := c.dialer.Dial(ctx, e, addr)
	if otherErr == nil {
		var k *conn
		if k, otherErr = c.handshake(ctx, nc, p, e, addr, other); otherErr == nil {
			return k, nil
		}
	}
	switch {
	case refusesVersion(otherErr):
		return nil, err
	case saidSomething(otherErr):
		return nil, otherErr
	case refusesVersion(err):
		return nil, fmt.Errorf("with MQTT %v, because the server refuses the other version: %w", other.version, otherErr)
	}
	return nil, err
}

// transportError is a failure before CONNECT was sent, which says nothing about
// versions.
type transportError struct{ err error }

func (e *transportError) Error() string { return e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }

// handshake takes nc from the network connection to the MQTT connection.
func (c *connector) handshake(ctx context.Context, nc *transport.Conn, p *plan, e transport.Endpoint, addr string, v versionChoice) (*conn, error) {
	up := transport.Upgrade{Server: p.server.Server, TLS: p.tls, Header: p.header, Subprotocols: subprotocols(v.version)}
	if err := nc.Upgrade(ctx, e.Host, up); err != nil {
		return nil, &transportError{because(ctx, err)}
	}
	if !c.warned && !c.cfg.own && nc.TLS() != nil && transport.Unverified(p.tls) {
		c.warned = true
		c.client.unverified(p.server.String())
	}
	h := hello{
		connectFields: p.connectFields, version: v.version, fallback: v.because, authenticator: p.authenticator,
		place: place{url: p.server.String(), address: addr, attempt: p.number},
	}
	if !c.cfg.SharedSessions {
		h.server = e.Address // each server has a session of its own
	}
	k, err := c.client.openConn(ctx, nc, h)
	if err != nil {
		if err = nc.Recognise(&p.server.Server, err); k.unanswered(err) {
			c.evictions.gaveUp(p.clientID, time.Now())
		}
		return nil, err
	}
	return k, nil
}

// subprotocols are offered in this order. [MQTT-6.0.0-3]
func subprotocols(v Version) []string {
	if v == V31 {
		return []string{"mqttv3.1", "mqtt"}
	}
	return []string{"mqtt"}
}

// identifier is the client identifier of the next connection, unless Config.Attempt chooses
// another: the one that a server has assigned if Config leaves it to the server, and empty
// if none has.
func (c *connector) identifier() string { return cmp.Or(c.cfg.ClientID, c.assigned) }
