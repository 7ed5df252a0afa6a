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

// ServerOrder says in which order a round of attempts walks over several
// servers. In every order a server whose last connection did not stay up for
// Reconnect.HealthyAfter comes last.
type ServerOrder uint8

// The orders of servers.
const (
	// StayWithServer begins with the server of the last connection, which holds
	// the session, and goes on in the order of the list.
	StayWithServer ServerOrder = iota
	// FirstServerFirst begins with the first server, which the others only
	// stand in for. A connection that works is never given up for it.
	FirstServerFirst
	// RandomServer draws a new order for each round, so that many clients
	// spread over the servers.
	RandomServer
)

// server is a server with the credentials of its URL.
type server struct {
	transport.Server
	username string
	password Secret
}

// parseServer understands the URLs that Connect describes; what names the place they
// come from.
func parseServer(what, raw string) (server, error) {
	parsed, user, err := transport.Parse(raw)
	if err != nil {
		return server{}, invalid(what, "%w", err)
	}
	s := server{Server: parsed}
	if user != nil {
		s.username = user.Username()
		password, given := user.Password()
		s.password = Secret(password)
		if given && password == "" && s.username != "" {
			s.password = Empty
		}
	}
	return s, nil
}

// target is a server to visit.
type target struct {
	server     server
	redirected bool // another server has named it
	withhold   bool // it gets no credentials
}

// itinerary is where attempts lead. It belongs to whoever makes them.
type itinerary struct {
	servers []server // as configured
	moved   []target // as told by ServerMoved; they come before the others
	once    []target // as told by UseAnotherServer, for the next round only
	last    int      // the index of the server of the last connection; -1: a redirected one
	present source   // of the last connection
	shunned bool     // the last connection did not stay up
	hops    int      // redirections followed since the last pause
}

// parseServers returns the servers of Connect and Config.Servers.
func (c *Config) parseServers(first string) ([]server, error) {
	var servers []server
	for i, raw := range append([]string{first}, c.Servers...) {
		what := "server URL"
		if i > 0 {
			what = fmt.Sprintf("Config.Servers[%d]", i-1)
		}
		s, err := parseServer(what, raw)
		if err != nil {
			return nil, err
		}
		if err := validateCredentials(what+", ", s.username, s.password, c.Version); err != nil {
			return nil, err
		}
		if c.Attempt == nil { // which may still set it
			if err := validateServerName("Config.TLS", s, c.TLS); err != nil {
				return nil, err
			}
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// newDialer returns what dials servers.
func (c *Config) newDialer(servers []server) (*transport.Dialer, error) {
	d, err := transport.New(transport.Options{
		Dial: c.Dial, Resolver: c.Resolver, LocalAddr: c.LocalAddr, Proxy: c.Proxy, TLS: c.TLS, Network: c.network,
	})
	if err != nil {
		return nil, invalidOption(err)
	}
	// The environment is the same at every attempt.
	for _, s := range servers {
		if !s.SRV {
			if _, err := d.Endpoints(context.Background(), s.Server); err != nil {
				return nil, invalidOption(err)
			}
		}
	}
	return d, nil
}

// invalidOption returns err as one about Config, if it is about an option of dialling.
func invalidOption(err error) error {
	wrong, ok := errors.AsType[*transport.OptionError](err)
	switch {
	case !ok:
		return err
	case wrong.Option == transport.EnvironmentProxy:
		return invalid(wrong.Option, "%w", wrong.Err)
	}
	return invalid("Config."+wrong.Option, "%w", wrong.Err)
}

// round returns the servers to visit, in order.
func (r *itinerary) round(order ServerOrder) []target {
	once := r.once
	r.once = nil
	own := r.own(order)
	all := slices.Clone(once)
	for _, t := range r.moved {
		if !slices.Contains(once, t) { // a DISCONNECT with ServerMoved is followed at once
			all = append(all, t)
		}
	}
	for _, i := range own {
		all = append(all, target{server: r.servers[i]})
	}
	return all
}

// own returns the indexes of the configured servers in order.
func (r *itinerary) own(order ServerOrder) []int {
	n := len(r.servers)
	indexes := make([]int, n)
	for i := range indexes {
		indexes[i] = i
	}
	switch order {
	case StayWithServer:
		indexes = append(indexes[max(r.last, 0):], indexes[:max(r.last, 0)]...)
	case RandomServer:
		rand.Shuffle(n, func(i, j int) { indexes[i], indexes[j] = indexes[j], indexes[i] })
	}
	if i := slices.Index(indexes, r.last); r.shunned && i >= 0 {
		indexes = append(slices.Delete(indexes, i, i+1), r.last)
	}
	return indexes
}

// arrived notes the server of a new connection.
func (r *itinerary) arrived(t target, from source) {
	r.present, r.shunned = from, false
	r.last = -1
	if !t.redirected {
		r.last = slices.Index(r.servers, t.server)
	}
}

// knows reports whether host is that of a configured server.
func (r *itinerary) knows(host string) bool {
	return slices.ContainsFunc(r.servers, func(s server) bool { return strings.EqualFold(s.Host, host) })
}

// roundError is what the servers of one round said.
type roundError struct {
	err   error
	final bool // the last of them is permanent
}

func (e *roundError) Error() string { return e.err.Error() }
func (e *roundError) Unwrap() error { return e.err }
