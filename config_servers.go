package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed65a45251/mqtt/internal/transport"
)

// ServerOrder is the order in which a round of attempts tries several servers. In every
// order, a server whose last connection did not stay up for Reconnect.HealthyAfter
// comes last.
type ServerOrder uint8

// The orders of servers.
const (
	// StayWithServer begins with the server of the last connection, which holds the
	// session, and continues in the order of the list.
	StayWithServer ServerOrder = iota
	// FirstServerFirst begins with the first server; the others stand in for it. A
	// connection that works is never given up for the first server.
	FirstServerFirst
	// RandomServer draws a new order for each round, so that many clients spread over
	// the servers.
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

// Attempt is what one attempt to connect to one server uses. Config.Attempt may change
// it, so that expired credentials, certificates and signed URLs can be replaced.
type Attempt struct {
	// Number counts the rounds over the servers since the connection was lost, from 1.
	// Cause is why the last connection or attempt failed, nil at first. Redirected says
	// that another server has named this one. Changing these three has no effect.
	Number     int
	Cause      error
	Redirected bool

	// ClientID is the client identifier: that of Config, or the one that the server has
	// assigned. Another identifier is another session at the server: what was not
	// acknowledged is published again there, Subscriptions are made again, and what the
	// server keeps under the former identifier waits until the client comes back to it or
	// the session expires. If it is "", it stays as it was; Empty has the server assign
	// one, without Resume. A SubscribeOptions.OwnConnection has an identifier of its own,
	// and changing that has no effect.
	ClientID string
	// Will is a copy of Config.Will, which may be changed or replaced. If nil, this
	// connection has no will. That of a SubscribeOptions.OwnConnection never has one.
	Will *Will
	// KeepAlive and SessionExpiry are those of Config, with the same rules. Zero means
	// that they stay as they were.
	KeepAlive     time.Duration
	SessionExpiry time.Duration

	// Server is the URL of the server, without user name and password. If it is
	// replaced, the user name and password of the new URL count if Username and
	// Password are empty.
	Server string
	// Header goes with the WebSocket request. It is a copy and never nil.
	Header http.Header
	// TLS is a copy of Config.TLS and never nil. Its fields may be set, for example to
	// another client certificate.
	TLS *tls.Config
	// Username and Password go with CONNECT. If one is "", it is left out. Empty sends
	// an empty one.
	Username string
	Password Secret
	// UserProperties go with CONNECT (5.0). The slice is a copy.
	UserProperties []UserProperty
}

// String names the attempt without what may be secret.
func (a Attempt) String() string {
	server := "?"
	if s, err := parseServer("", a.Server); err == nil {
		server = s.String()
	}
	return fmt.Sprintf("mqtt.Attempt{Number: %d, Server: %q}", a.Number, server)
}

// GoString is String.
func (a Attempt) GoString() string { return a.String() }

// LogValue is String.
func (a Attempt) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Redirection is what a server asks for with UseAnotherServer or ServerMoved.
type Redirection struct {
	From, To string // host:port
	Moved    bool   // for as long as the client lives, not just for the next connection
}

// RedirectAction is what to do about a Redirection.
type RedirectAction uint8

// What can be done about a Redirection.
const (
	// StayAway does not follow. The redirection counts as a failed attempt.
	StayAway RedirectAction = iota
	// FollowWithoutCredentials leaves out user name, password, headers, client
	// certificates, the query of the URL and the user properties of CONNECT. The client
	// identifier and the will go there, as what the client publishes does.
	FollowWithoutCredentials
	// FollowWithCredentials treats the other server like a configured one.
	FollowWithCredentials
)

// detached runs a function of the caller, which may call the client's methods,
// Close among them, or ignore ctx. It must not be able to hold up the goroutine
// that Close waits for: when ctx ends first, ok is false.
func detached[T any](ctx context.Context, f func() T) (result T, ok bool) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case result = <-done:
		return result, true
	case <-ctx.Done():
		return result, false
	}
}
