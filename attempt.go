package mqtt

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/seed65a45251/mqtt/internal/transport"
)

// Attempt is what one attempt to connect to one server uses. Config.Attempt may
// change it, so that credentials, certificates and signed URLs can expire.
type Attempt struct {
	// Number counts the rounds over the servers since the connection was lost,
	// from 1, and Cause is why the last connection or attempt failed; nil at
	// first. Redirected says that another server has named this one. ClientID is
	// the client identifier: that of Config, or of a SubscribeOptions.OwnConnection.
	// Changing these four has no effect.
	Number     int
	Cause      error
	Redirected bool
	ClientID   string

	// Server is the URL of the server, without user name and password. Those of
	// another URL that is put here count if Username and Password are empty.
	Server string
	// Header goes with the WebSocket request. It is a copy and never nil.
	Header http.Header
	// TLS is a copy of Config.TLS and never nil: its fields may be set, another
	// client certificate for example.
	TLS *tls.Config
	// Username and Password go with CONNECT, each if it is not "". Empty is one without a
	// character.
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

// plan is a validated Attempt.
type plan struct {
	server     server
	header     http.Header
	tls        *tls.Config
	username   string
	password   Secret
	properties []UserProperty

	authenticator Authenticator
}

// prepare makes the plan for a visit of t, with the caller's help.
func (c *Client) prepare(ctx context.Context, t target, number int, cause error) (*plan, error) {
	a := &Attempt{
		Number:         number,
		Cause:          cause,
		Redirected:     t.redirected,
		ClientID:       c.identifier(),
		Server:         t.server.URL(),
		Header:         c.cfg.Header.Clone(),
		TLS:            c.cfg.TLS.Clone(),
		UserProperties: slices.Clone(c.cfg.UserProperties),
	}
	if a.Header == nil {
		a.Header = http.Header{}
	}
	if a.TLS == nil {
		a.TLS = &tls.Config{}
	}
	a.Username, a.Password = c.cfg.Username, c.cfg.Password
	if a.Username == "" && a.Password == "" {
		a.Username, a.Password = t.server.username, t.server.password
	}
	if t.withhold {
		a.withhold()
	}
	s := t.server
	if c.cfg.Attempt != nil {
		url := a.Server
		err, ok := detached(ctx, func() error { return c.cfg.Attempt(ctx, a) })
		if !ok {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("Config.Attempt: %w", err)
		}
		if a.Server != url {
			if s, err = a.replaced(); err != nil {
				return nil, err
			}
		} else if t.withhold {
			// What the function has added is for our own servers: it need not
			// know that this is none.
			a.withhold()
		}
	}
	p, err := a.plan(s, c.cfg.Version)
	if err == nil && !t.withhold {
		p.authenticator = c.cfg.Authenticator
	}
	return p, err
}

// replaced returns the server that the caller's function has chosen.
func (a *Attempt) replaced() (server, error) {
	s, err := parseServer("Attempt.Server", a.Server)
	if a.Username == "" && a.Password == "" {
		a.Username, a.Password = s.username, s.password
	}
	return s, err
}

// withhold removes everything that proves who we are.
func (a *Attempt) withhold() {
	a.Username, a.Password = "", ""
	a.Header = http.Header{}
	a.UserProperties = nil
	if a.TLS = a.TLS.Clone(); a.TLS != nil { // it may be the caller's own by now
		a.TLS.Certificates, a.TLS.GetClientCertificate = nil, nil
	}
}

func (a *Attempt) plan(s server, v Version) (*plan, error) {
	p := &plan{server: s, header: a.Header, tls: a.TLS, username: a.Username, password: a.Password, properties: a.UserProperties}
	if p.tls == nil {
		p.tls = &tls.Config{}
	}
	if err := validateCredentials("Attempt.", p.username, p.password, v); err != nil {
		return nil, err
	}
	if err := validateUserProperties(p.properties); err != nil {
		return nil, invalid("Attempt.UserProperties", "%w", err)
	}
	if err := transport.ValidateHeader(p.header); err != nil {
		return nil, invalid("Attempt.Header", "%w", err)
	}
	return p, validateServerName("Attempt.TLS", s, p.tls)
}

// validateServerName sees that there is a name to check the certificate against.
func validateServerName(what string, s server, conf *tls.Config) error {
	if s.TLS && s.Host == "" && (conf == nil || conf.ServerName == "" && !conf.InsecureSkipVerify) {
		return invalid(what, "needs a ServerName: a Unix socket has no name to check the certificate against")
	}
	return nil
}

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
