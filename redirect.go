package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Redirection is what a server asks for with UseAnotherServer or ServerMoved.
type Redirection struct {
	From, To string // host:port
	Moved    bool   // for as long as the client lives, not just for the next connection
}

// RedirectAction is what to do about a Redirection.
type RedirectAction uint8

// What can be done about a Redirection.
const (
	// StayAway does not follow: it counts as a failed attempt.
	StayAway RedirectAction = iota
	// FollowWithoutCredentials leaves out user name, password, headers, client
	// certificates, the query of the URL and the user properties of CONNECT.
	FollowWithoutCredentials
	// FollowWithCredentials treats the other server like our own.
	FollowWithCredentials
)

const (
	maxHops      = 5    // redirections in a row, without a pause
	maxReference = 1024 // bytes of a Server Reference
)

// redirection returns what a server asks for in err.
func redirection(err error) (*ServerError, bool) {
	said, ok := errors.AsType[*ServerError](err)
	if !ok || said.ReasonCode != UseAnotherServer && said.ReasonCode != ServerMoved {
		return nil, false
	}
	return said, true
}

// source is a server that may send us elsewhere.
type source struct {
	server    server // which Config.Attempt may have chosen
	secretive bool   // it got what proves who we are
}

func (p *plan) source(t target) source {
	s := source{p.server, p.secretive()}
	if s.server.username == "" && s.server.password == "" {
		s.server.username, s.server.password = t.server.username, t.server.password
	}
	return s
}

// follow returns where the server from sends us, or an error that says why we do
// not go there.
func (c *Client) follow(ctx context.Context, from source, asked *ServerError) ([]target, error) {
	refuse := func(format string, args ...any) ([]target, error) {
		return nil, fmt.Errorf("%w (not followed: %w)", asked, fmt.Errorf(format, args...))
	}
	if c.link.route.hops >= maxHops {
		return refuse("%d redirections in a row", c.link.route.hops)
	}
	servers, err := parseReference(asked.ServerReference, from.server)
	if err != nil {
		return refuse("%w", err)
	}
	var targets []target
	for _, s := range servers {
		action := c.consent(ctx, from, s, asked.ReasonCode == ServerMoved)
		if action == StayAway {
			continue
		}
		t := target{server: s, redirected: true, withhold: action != FollowWithCredentials}
		if !t.withhold {
			t.server.query = from.server.query
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
	c.link.route.hops++
	if asked.ReasonCode == ServerMoved {
		c.link.route.moved = targets
	}
	return targets, nil
}

// consent asks the caller's function, or decides in its place: credentials stay
// with the hosts that were configured, and a host that would get none is not
// worth a visit unless there are none.
func (c *Client) consent(ctx context.Context, from source, to server, moved bool) RedirectAction {
	if ask := c.cfg.Redirect; ask != nil {
		r := Redirection{From: from.server.address, To: to.address, Moved: moved}
		action, _ := detached(ctx, func() RedirectAction { return ask(r) })
		if action > FollowWithCredentials {
			return StayAway
		}
		return action
	}
	switch {
	case c.link.route.knows(to.host):
		return FollowWithCredentials
	case c.cfg.Attempt != nil || from.secretive:
		return StayAway
	}
	return FollowWithoutCredentials
}

// secretive reports whether p has what proves who we are.
func (p *plan) secretive() bool {
	return p.username != "" || p.password != "" || len(p.header) > 0 || p.server.query != "" ||
		p.tls != nil && (len(p.tls.Certificates) > 0 || p.tls.GetClientCertificate != nil) ||
		len(p.properties) > 0 || p.authenticator != nil
}

// parseReference understands a Server Reference: hosts with or without a port,
// separated by spaces. They are reached in the same way as from. If anything
// else is in it, nothing of it is used.
func parseReference(reference string, from server) ([]server, error) {
	switch {
	case reference == "":
		return nil, errors.New("the server names no other")
	case len(reference) > maxReference:
		return nil, errors.New("server reference of more than 1024 bytes")
	case from.unix:
		return nil, errors.New("a Unix socket does not tell how to reach a host")
	}
	via := from
	via.username, via.password, via.query = "", "", ""
	if from.srv {
		via.name = strings.TrimSuffix(from.name, "+srv")
		via.scheme = schemes[via.name]
	}
	var servers []server
	for part := range strings.FieldsFuncSeq(reference, func(r rune) bool { return r == ' ' }) {
		s := via
		var ok bool
		if s.host, s.address, ok = parseHostPort(part, via.port); !ok {
			return nil, fmt.Errorf("server reference %.80q is not a list of host:port", reference)
		}
		s.address = sharingZone(s.address, from.address)
		servers = append(servers, s)
	}
	if len(servers) == 0 {
		return nil, errors.New("the server names no other")
	}
	return servers[:min(len(servers), maxRecords)], nil
}

// parseHostPort is stricter than dialling: what comes from a server shall be a
// host and nothing that only looks like one.
func parseHostPort(text, port string) (host, address string, ok bool) {
	host = text
	if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
	} else if inner, found := strings.CutPrefix(text, "["); found {
		if host, found = strings.CutSuffix(inner, "]"); !found {
			return "", "", false
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", false
	}
	bracketed := text[0] == '['
	if addr, err := netip.ParseAddr(host); err == nil {
		// A zone means something on the machine that uses it only, and may hold anything.
		return host, net.JoinHostPort(host, port), addr.Is4() != bracketed && addr.Zone() == ""
	}
	valid := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_'
	}
	if bracketed || host == "" || len(host) > 253 || strings.ContainsFunc(host, func(r rune) bool { return !valid(r) }) {
		return "", "", false
	}
	return host, net.JoinHostPort(host, port), true
}
