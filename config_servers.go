package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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

// validateServerName sees that there is a name to check the certificate against.
func validateServerName(what string, s server, conf *tls.Config) error {
	if s.TLS && s.Host == "" && (conf == nil || conf.ServerName == "" && !conf.InsecureSkipVerify) {
		return invalid(what, "needs a ServerName: a Unix socket has no name to check the certificate against")
	}
	return nil
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
