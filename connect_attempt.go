package mqtt

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"

	"github.com/seed65a45251/mqtt/internal/transport"
)

// plan is a validated Attempt.
type plan struct {
	connectFields
	number        int // of the round
	server        server
	header        http.Header
	tls           *tls.Config
	authenticator Authenticator
}

// at names the server that an attempt with p finds at e, for what is remembered of servers.
func (p *plan) at(e transport.Endpoint) string { return p.server.String() + " " + e.Address }

// plan makes the plan for an attempt at t, with the help of Config.Attempt.
func (c *connector) plan(ctx context.Context, r round, t target) (*plan, error) {
	a := &Attempt{
		Number:         r.number,
		Cause:          r.cause,
		Redirected:     t.redirected,
		ClientID:       c.identifier(),
		Will:           c.cfg.Will.clone(),
		KeepAlive:      c.cfg.KeepAlive,
		SessionExpiry:  c.cfg.SessionExpiry,
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
	c.restore(a)
	p, err := a.plan(s, c.cfg)
	if err != nil {
		return nil, err
	}
	p.number = r.number
	if !t.withhold {
		p.authenticator = c.cfg.Authenticator
	}
	return p, err
}

// restore undoes what the caller's function cannot change, and fills in what it has left
// empty.
func (c *connector) restore(a *Attempt) {
	if a.ClientID == "" || c.cfg.own {
		a.ClientID = cmp.Or(c.identifier(), Empty)
	}
	if c.cfg.own {
		a.Will = nil
	}
	a.KeepAlive = cmp.Or(a.KeepAlive, c.cfg.KeepAlive)
	a.SessionExpiry = cmp.Or(a.SessionExpiry, c.cfg.SessionExpiry)
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

func (a *Attempt) plan(s server, cfg *Config) (*plan, error) {
	p := &plan{server: s, header: a.Header, tls: a.TLS, connectFields: connectFields{
		clientID: a.ClientID, will: a.Will, keepAlive: a.KeepAlive, sessionExpiry: a.SessionExpiry,
		username: a.Username, password: a.Password, properties: a.UserProperties,
	}}
	if p.tls == nil {
		p.tls = &tls.Config{}
	}
	if p.clientID == Empty {
		p.clientID = "" // from here on
	}
	for _, err := range []error{
		validateCredentials("Attempt.", p.username, p.password, cfg.Version),
		validateClientID("Attempt.", a.ClientID, cfg),
		validateWill("Attempt.Will", p.will, cfg),
		validateInterval("Attempt.KeepAlive", p.keepAlive, longestKeepAlive),
		validateInterval("Attempt.SessionExpiry", p.sessionExpiry, longestSessionExpiry),
		validateSession("Attempt.SessionExpiry", p.sessionExpiry, cfg),
	} {
		if err != nil {
			return nil, err
		}
	}
	if err := validateUserProperties(p.properties); err != nil {
		return nil, invalid("Attempt.UserProperties", "%w", err)
	}
	if err := transport.ValidateHeader(p.header); err != nil {
		return nil, invalid("Attempt.Header", "%w", err)
	}
	return p, validateServerName("Attempt.TLS", s, p.tls)
}
