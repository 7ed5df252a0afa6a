package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/internal/transport"
)

// target is a server to try.
type target struct {
	server     server
	redirected bool // another server has named it
	withhold   bool // it gets no credentials
}

// serverList is where attempts lead.
type serverList struct {
	own     []server // as configured
	moved   []target // as told by ServerMoved; they come before the others
	once    []target // as told by UseAnotherServer, for the next round only
	last    int      // the index of the server of the last connection; -1: a redirected one
	present referrer // the server of the last connection
	failing bool     // the last connection did not stay up
	hops    int      // redirections followed since the last pause
}

// round returns the servers to try, in order.
func (l *serverList) round(order ServerOrder) []target {
	once := l.once
	l.once = nil
	indexes := l.inOrder(order)
	all := slices.Clone(once)
	for _, t := range l.moved {
		if !slices.Contains(once, t) { // a DISCONNECT with ServerMoved is followed at once
			all = append(all, t)
		}
	}
	for _, i := range indexes {
		all = append(all, target{server: l.own[i]})
	}
	return all
}

// inOrder returns the indexes of the configured servers in order.
func (l *serverList) inOrder(order ServerOrder) []int {
	n := len(l.own)
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = i
	}
	switch order {
	case StayWithServer:
		indexes = append(indexes[max(l.last, 0):], indexes[:max(l.last, 0)]...)
	case RandomServer:
		rand.Shuffle(n, func(i, j int) { indexes[i], indexes[j] = indexes[j], indexes[i] })
	}
	if i := slices.Index(indexes, l.last); l.failing && i >= 0 {
		indexes = append(slices.Delete(indexes, i, i+1), l.last)
	}
	return indexes
}

// connected notes the server of a new connection.
func (l *serverList) connected(t target, from referrer) {
	l.present, l.failing = from, false
	l.last = -1
	if !t.redirected {
		l.last = slices.Index(l.own, t.server)
	}
}

// knows reports whether host is that of a configured server.
func (l *serverList) knows(host string) bool {
	return slices.ContainsFunc(l.own, func(s server) bool { return strings.EqualFold(s.Host, host) })
}

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
	server         server // which Config.Attempt may have chosen
	hasCredentials bool   // it got what proves who we are
}

func (p *plan) referrer(t target) referrer {
	s := referrer{p.server, p.hasCredentials()}
	if s.server.username == "" && s.server.password == "" {
		s.server.username, s.server.password = t.server.username, t.server.password
	}
	return s
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
