package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt"
)

// Format names the form of Result. It changes when a program that reads the old form
// would misread the new one.
const Format = "mqtt-probe/1"

// Result is what a probe has found. docs/probe.md describes each field.
type Result struct {
	Format      string    `json:"format"`
	Time        time.Time `json:"time"`
	Interrupted bool      `json:"interrupted"`
	URL         string    `json:"url"` // without credentials
	Address     string    `json:"address"`
	Version     string    `json:"mqtt_version"` // that the checks spoke
	Seconds     float64   `json:"seconds"`
	TLS         *TLS      `json:"tls,omitempty"`
	Checks      []Check   `json:"checks"`
	Left        string    `json:"left,omitempty"` // what could not be removed from the server
}

// TLS is what the last handshake has agreed on.
type TLS struct {
	Version  string    `json:"version"`
	Cipher   string    `json:"cipher"`
	ALPN     string    `json:"alpn"`
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	Names    []string  `json:"names"`
	Expires  time.Time `json:"expires"`
	Verified bool      `json:"verified"`
}

// errRefused says that no version was accepted.
var errRefused = errors.New("the server has accepted no version of MQTT")

// probe runs all checks. each is told of a check before it runs. The result holds what was
// found even if there is an error: no version was accepted, or ctx has ended.
func probe(ctx context.Context, server string, cfg mqtt.Config, o Options, each func(name string)) (*Result, error) {
	d, err := newDialer(server, cfg)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	res := &Result{Format: Format, Time: start.Round(0), URL: withoutSecrets(server)}
	s := newSuite(d, o)
	defer func() {
		if err := s.clean(ctx); err != nil {
			res.Left = err.Error()
		}
		res.Seconds = time.Since(start).Seconds()
		address, state := d.last()
		res.Address, res.TLS = address, tlsOf(state)
	}()

	one := func(t *test) {
		each(t.name)
		c := s.perform(ctx, t)
		if ctx.Err() == nil { // otherwise it was interrupted
			res.Checks = append(res.Checks, c)
		}
	}
	for _, t := range versionTests() {
		if one(&t); ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() == nil && s.announced == nil {
		return res, refusal(res.Checks)
	}
	if s.announced != nil {
		res.Version = s.version.String()
	}
	for _, t := range slices.Concat(
		identifierTests(), announcedTests(), []test{baseTest()}, messageTests(), retainedTests(), filterTests(), sessionTests(), limitTests(),
	) {
		if ctx.Err() != nil {
			break
		}
		one(&t)
	}
	if ctx.Err() != nil {
		res.Interrupted = true
		return res, context.Cause(ctx)
	}
	return res, nil
}

// refusal is the error of a server that has accepted no version, with what it has said.
func refusal(checks []Check) error {
	for _, c := range checks {
		if c.Note != "" {
			return errors.Join(errRefused, errors.New(c.Name+": "+c.Note))
		}
	}
	return errRefused
}

func tlsOf(state *tls.ConnectionState) *TLS {
	if state == nil {
		return nil
	}
	t := &TLS{
		Version: tls.VersionName(state.Version), Cipher: tls.CipherSuiteName(state.CipherSuite), ALPN: state.NegotiatedProtocol,
		Verified: len(state.VerifiedChains) > 0,
	}
	if len(state.PeerCertificates) > 0 {
		c := state.PeerCertificates[0]
		t.Subject, t.Issuer, t.Names, t.Expires = c.Subject.String(), c.Issuer.String(), c.DNSNames, c.NotAfter
		for _, ip := range c.IPAddresses {
			t.Names = append(t.Names, ip.String())
		}
	}
	return t
}

// withoutSecrets returns a URL without user, password and query.
func withoutSecrets(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
