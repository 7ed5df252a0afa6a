package mqtt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/wire"
)

// round is one walk over all servers, with as many redirections as they ask for
// and we follow. cause is why the last connection or round failed.
type round struct {
	c      *Client
	number int
	cause  error
}

// connect walks once over all servers.
func (c *Client) connect(ctx context.Context, number int, cause error) (*conn, error) {
	r := round{c, number, cause}
	todo := c.link.route.round(c.cfg.ServerOrder)
	alone := len(todo) == 1
	var errs []error
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		k, p, err := r.visit(ctx, t)
		if err == nil {
			c.link.route.arrived(t, p.source(t))
			return k, nil
		}
		if asked, ok := redirection(err); ok && p != nil {
			next, refused := c.follow(ctx, p.source(t), asked)
			alone = alone && refused != nil
			todo = slices.Concat(next, todo)
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

// visit tries one server at all of its addresses. The plan is nil if it came to
// none.
func (r *round) visit(ctx context.Context, t target) (*conn, *plan, error) {
	r.c.setState(Event{State: Connecting, Attempt: r.number, Server: t.server.Address})
	limited, cancel := context.WithTimeoutCause(ctx, r.c.cfg.ConnectTimeout, errConnectTimeout)
	defer cancel()
	p, err := r.c.prepare(limited, t, r.number, r.cause)
	if err != nil {
		return nil, nil, err
	}
	found, err := r.c.link.dialer.Endpoints(limited, p.server.Server)
	if err != nil {
		return nil, p, because(limited, invalidOption(err))
	}
	var errs []error
	for _, e := range found {
		k, err := r.c.reach(ctx, p, e)
		if err == nil {
			return k, p, nil
		}
		if _, asked := redirection(err); asked || len(found) > 1 && saidSomething(err) && r.c.permanent(ctx, err) {
			return nil, p, err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, p, transport.Join(errs...)
}

func saidSomething(err error) bool {
	_, said := errors.AsType[*ServerError](err)
	return said
}

// because adds why ctx ended to an error that may just be a consequence.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		return transport.Join(context.Cause(ctx), err)
	}
	return err
}

// reach tries all addresses of one transport.Endpoint: the next if one does not answer, and
// also if one answers without being of use.
func (c *Client) reach(ctx context.Context, p *plan, e transport.Endpoint) (*conn, error) {
	limited, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout, errConnectTimeout)
	defer cancel()
	addrs, err := c.link.dialer.Addresses(limited, e)
	if err != nil {
		return nil, because(limited, err)
	}
	var errs []error
	for len(addrs) > 0 && ctx.Err() == nil {
		k, rest, err := c.try(ctx, p, e, addrs)
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

// try makes one connection to whichever of addrs answers first, and returns which
// others are left. It ends when nothing moves for the connect timeout.
func (c *Client) try(ctx context.Context, p *plan, e transport.Endpoint, addrs []string) (_ *conn, rest []string, _ error) {
	ctx, cancel := transport.WithTimeout(ctx, c.cfg.ConnectTimeout, errConnectTimeout)
	defer cancel()
	nc, addr, rest, err := c.link.dialer.Race(ctx, e, addrs)
	if err != nil {
		return nil, nil, because(ctx, err)
	}
	known := c.link.dialects.of(p, e)
	speak := c.link.dialects.first(known)
	k, err := c.connectAs(ctx, nc, p, e, speak)
	if err != nil {
		if next, ok := c.link.dialects.other(known, speak, err); ok {
			k, err = c.speakInstead(ctx, p, e, addr, next, err)
			speak = next
		}
	}
	c.link.refusals.note(p, e, err)
	if err != nil {
		return nil, rest, err
	}
	known.accepted(speak)
	c.link.worked = true
	c.link.evictions.arrived(p, e)
	return k, nil, nil
}

// speakInstead connects once more to addr with another version, because err ended
// the connection with the first. A server that refuses that too has said more about
// the first than about the second, unless it names a reason.
func (c *Client) speakInstead(ctx context.Context, p *plan, e transport.Endpoint, addr string, speak speech, err error) (*conn, error) {
	nc, otherErr := c.link.dialer.Dial(ctx, e, addr)
	if otherErr != nil {
		return nil, err
	}
	k, otherErr := c.connectAs(ctx, nc, p, e, speak)
	if otherErr == nil {
		return k, nil
	}
	if saidSomething(otherErr) && !refusesVersion(otherErr) {
		return nil, otherErr
	}
	return nil, err
}

// transportError is a failure before CONNECT was sent, which says nothing about
// versions.
type transportError struct{ err error }

func (e *transportError) Error() string { return e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }

// connectAs takes nc from the network connection to the MQTT connection.
func (c *Client) connectAs(ctx context.Context, nc *transport.Conn, p *plan, e transport.Endpoint, speak speech) (*conn, error) {
	v := speak.version
	if err := nc.Upgrade(ctx, e.Host, p.upgrade(v)); err != nil {
		return nil, &transportError{because(ctx, err)}
	}
	k := newConn(c, nc, v)
	c.link.fallback = speak.because
	if err := k.handshake(ctx, c.cfg.sessionAt(e), v, c.connectPacket(v, p), p.authenticator); err != nil {
		if err = nc.Recognise(&p.server.Server, err); k.leavesGhost(err) {
			c.link.evictions.haunt(time.Now())
		}
		return nil, err
	}
	return k, nil
}

// upgrade is what comes on top of the network connection for version v.
func (p *plan) upgrade(v Version) transport.Upgrade {
	return transport.Upgrade{Server: p.server.Server, TLS: p.tls, Header: p.header, Subprotocols: subprotocols(v)}
}

// subprotocols are offered in this order. [MQTT-6.0.0-3]
func subprotocols(v Version) []string {
	if v == V31 {
		return []string{"mqttv3.1", "mqtt"}
	}
	return []string{"mqtt"}
}

// sessionAt names whose session a connection to e has: each server has its own,
// unless they share them.
func (c *Config) sessionAt(e transport.Endpoint) string {
	if c.SharedSessions {
		return ""
	}
	return e.Address
}

// connectPacket builds the CONNECT of the next attempt. It starts clean unless
// a server may hold our session: that would delete what waits in it.
func (c *Client) connectPacket(v Version, p *plan) *wire.Connect {
	c.engine.mu.Lock()
	clean := !c.engine.HasSession()
	receiveMaximum := c.window.announce(c.cfg.ReceiveMaximum)
	c.engine.mu.Unlock()
	id := c.identifier()
	packet := c.cfg.connectPacket(v, clean || id == "", p.username, p.password)
	packet.ClientID = id
	if v == V5 {
		packet.UserProperties = p.properties
		packet.ReceiveMaximum = receiveMaximum
	}
	return packet
}

// identifier is the client identifier of the next connection: the one that a server has
// assigned if Config leaves it to the server, and empty if none has.
func (c *Client) identifier() string { return cmp.Or(c.cfg.ClientID, c.link.assigned) }
