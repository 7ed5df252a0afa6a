package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// advice returns what to do about a TLS handshake that failed with err; empty: nobody
// knows. heard says that the server has said something.
func (t *tlsTerms) advice(err error, heard bool) string {
	if said := refusedBy(err); said != nil {
		return t.adviceOnAlert(said)
	}
	if text := t.adviceOnCertificate(err); text != "" {
		return text
	}
	_, other := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case other:
		return t.isPlain("the " + t.who() + " does not speak TLS")
	case ClosedByPeer(err) && !heard:
		return t.isPlain("the " + t.who() + " hung up on TLS, as a port without it does")
	case ClosedByPeer(err):
		return t.adviceOnSilence()
	case strings.Contains(err.Error(), "unsupported protocol version"): // crypto/tls has no other mark
		return t.tooOld()
	}
	return ""
}

func (t *tlsTerms) who() string {
	if t.proxy {
		return "proxy"
	}
	return "server"
}

// isPlain adds to what is wrong which URL may be right.
func (t *tlsTerms) isPlain(wrong string) string {
	if t.plain == "" {
		return wrong
	}
	return wrong + "; did you mean " + t.plain + "?"
}

func (t *tlsTerms) tooOld() string {
	if t.proxy {
		return "the proxy speaks only versions of TLS that are not secure"
	}
	return "the server speaks no version of TLS that Config.TLS allows, which is 1.2 and later unless its MinVersion says less"
}

// adviceOnCertificate is about the certificate of the server.
func (t *tlsTerms) adviceOnCertificate(err error) string {
	if _, is := errors.AsType[x509.HostnameError](err); is {
		if t.proxy {
			return "name the proxy as its certificate does"
		}
		return "name the server as its certificate does, or set ServerName of Config.TLS"
	}
	if e, is := errors.AsType[x509.UnknownAuthorityError](err); is {
		what := "the authority that has signed it"
		if e.Cert != nil && bytes.Equal(e.Cert.RawIssuer, e.Cert.RawSubject) {
			what = "it, because it is self-signed,"
		}
		return "put " + what + " into RootCAs of Config.TLS"
	}
	e, is := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case !is:
		return ""
	case e.Reason == x509.Expired && e.Cert != nil && time.Now().Before(e.Cert.NotBefore):
		return "it is not valid yet, or the clock of this machine is wrong"
	case e.Reason == x509.Expired:
		return "it has to be renewed, or the clock of this machine is wrong"
	case e.Reason == x509.IncompatibleUsage:
		return "it is not one of a server"
	}
	return ""
}

// Alerts of TLS (RFC 8446, 6).
const (
	alertHandshakeFailure       = tls.AlertError(40)
	alertBadCertificate         = tls.AlertError(42)
	alertUnsupportedCertificate = tls.AlertError(43)
	alertCertificateRevoked     = tls.AlertError(44)
	alertCertificateExpired     = tls.AlertError(45)
	alertCertificateUnknown     = tls.AlertError(46)
	alertUnknownAuthority       = tls.AlertError(48)
	alertAccessDenied           = tls.AlertError(49)
	alertProtocolVersion        = tls.AlertError(70)
	alertInsufficientSecurity   = tls.AlertError(71)
	alertUnrecognizedName       = tls.AlertError(112)
	alertCertificateRequired    = tls.AlertError(116)
	alertNoApplicationProtocol  = tls.AlertError(120)
)

// alerts leads from what crypto/tls makes of an alert, whose type is hidden, to the alert.
var alerts = func() map[string]tls.AlertError {
	all := make(map[string]tls.AlertError)
	for n := range 256 {
		all[tls.AlertError(n).Error()] = tls.AlertError(n)
	}
	return all
}()

// adviceOnAlert is about what the server says.
func (t *tlsTerms) adviceOnAlert(said error) string {
	switch alerts[said.Error()] {
	case alertBadCertificate, alertUnsupportedCertificate, alertCertificateRevoked, alertCertificateExpired,
		alertCertificateUnknown, alertUnknownAuthority, alertAccessDenied, alertCertificateRequired:
		return t.adviceOnOurs()
	case alertHandshakeFailure, alertInsufficientSecurity:
		if t.ours == askedFor || t.ours == unfit {
			return t.adviceOnOurs()
		}
		return "there is nothing in common, such as cipher suites, that Config.TLS and the " + t.who() + " allow"
	case alertProtocolVersion:
		return t.tooOld()
	case alertUnrecognizedName:
		return "the " + t.who() + " does not go by that name"
	case alertNoApplicationProtocol:
		return "the " + t.who() + " knows none of NextProtos of Config.TLS"
	}
	return ""
}

// adviceOnOurs is about the certificate of the client. Certificates of Config.TLS are not
// for a proxy.
func (t *tlsTerms) adviceOnOurs() string {
	switch {
	case t.proxy:
		return "the proxy wants a certificate of the client"
	case t.ours == presented:
		return "the server does not accept the client's certificate, which is in Certificates of Config.TLS"
	case t.ours == unfit:
		return "the server wants a certificate of the client from an authority to which none in Certificates of Config.TLS belongs"
	}
	return "the server wants a certificate of the client: set Certificates of Config.TLS"
}

// adviceOnSilence is about a server that has gone without a word after it asked for a
// certificate of the client. With TLS 1.3 it may have said why in an alert that was lost.
func (t *tlsTerms) adviceOnSilence() string {
	if t.ours == notAskedFor {
		return ""
	}
	return "perhaps " + t.adviceOnOurs()
}

// advise adds to err, which came of the first words on c, what to do about it.
func (c *Conn) advise(err error) error {
	if c.secure == nil {
		return err
	}
	said := refusedBy(err)
	if said != nil {
		return advised(err, c.terms.adviceOnAlert(said))
	}
	if c.Silent() && ClosedByPeer(err) {
		return advised(err, c.terms.adviceOnSilence())
	}
	return err
}

// advised returns err with what to do about it. An empty text means that nobody knows.
func advised(err error, text string) error {
	if text == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, text)
}
