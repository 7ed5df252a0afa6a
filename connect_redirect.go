package mqtt

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/internal/transport"
)

const (
	maxHops = 5 // redirections in a row, without a pause
)

// redirection returns what a server asks for in err.
func redirection(err error) (*ServerError, bool) {
	said, ok := errors.AsType[*ServerError](err)
	if !ok || said.ReasonCode != UseAnotherServer && said.ReasonCode != ServerMoved {
		return nil, false
	}
	return said, true
}

// referrer is a server that may send us elsewhere.
type referrer struct {
	server         *server // which Config.Attempt may have chosen
	hasCredentials bool    // it got what proves who we are
}

func (p *plan) referrer(t target) referrer {
	s := p.server
	if s.username == "" && s.password == "" {
		s.username, s.password = t.server.username, t.server.password
	}
	return referrer{&s, p.hasCredentials()}
}

// follow returns where the server from sends us, or an error that says why we do
// not go there.
func (c *connector) follow(ctx context.Context, from referrer, asked *ServerError) ([]target, error) {
	refuse := func(format string, args ...any) ([]target, error) {
		return nil, fmt.Errorf("%w (not followed: %w)", asked, fmt.Errorf(format, args...))
	}
	if c.servers.hops >= maxHops {
		return refuse("%d redirections in a row", c.servers.hops)
	}
	servers, err := from.server.Named(asked.ServerReference)
	if err != nil {
		return refuse("%w", err)
	}
	var targets []target
	for _, s := range servers {
		action := c.consent(ctx, from, s, asked.ReasonCode == ServerMoved)
		if action == StayAway {
			continue
		}
		t := target{server: server{Server: s}, redirected: true, withhold: action != FollowWithCredentials}
		if !t.withhold {
			t.server.Query = from.server.Query
			t.server.username, t.server.password = from.server.username, from.server.password
		}
		targets = append(targets, t)
	}
	if len(targets) == 0 {
		if c.cfg.Redirect == nil {
			return refuse("credentials are not sent to another host unless Config.Redirect allows it")
		}
		return refuse("Config.Redirect did not allow it")
	}
	c.servers.hops++
	if asked.ReasonCode == ServerMoved {
		c.servers.moved = targets
	}
	return targets, nil
}

// consent asks the caller's function, or decides in its place: credentials stay
// with the hosts that were configured, and a host that would get none is not
// worth trying unless there are none.
func (c *connector) consent(ctx context.Context, from referrer, to transport.Server, moved bool) RedirectAction {
	if ask := c.cfg.Redirect; ask != nil {
		r := Redirection{From: from.server.Address, To: to.Address, Moved: moved}
		action, _ := detached(ctx, func() RedirectAction { return ask(r) })
		if action > FollowWithCredentials {
			return StayAway
		}
		return action
	}
	switch {
	case c.servers.knows(to.Host):
		return FollowWithCredentials
	case c.cfg.Attempt != nil || from.hasCredentials:
		return StayAway
	}
	return FollowWithoutCredentials
}

// hasCredentials reports whether p has what proves who we are.
func (p *plan) hasCredentials() bool {
	return p.username != "" || p.password != "" || len(p.header) > 0 || p.server.Query != "" ||
		p.tls != nil && (len(p.tls.Certificates) > 0 || p.tls.GetClientCertificate != nil) ||
		len(p.properties) > 0 || p.authenticator != nil
}
