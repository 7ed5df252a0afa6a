package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// startTLS makes nc, which it takes over, a TLS connection to host.
func startTLS(ctx context.Context, nc net.Conn, conf *tls.Config, host string, terms *tlsTerms) (*secureConn, error) {
	conf = conf.Clone()
	if conf.ServerName == "" {
		conf.ServerName = zoneless(host)
	}
	if conf.MinVersion == 0 {
		conf.MinVersion = tls.VersionTLS12
	}
	terms.watch(conf)
	below := &records{Conn: nc}
	tc := tls.Client(below, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		if ctx.Err() == nil {
			err = newTLSError(err, terms.advice(err, below.heard))
		}
		return nil, err
	}
	return &secureConn{tc, below}, nil
}

// tlsTerms are what a TLS handshake was about, for those who have to put it right.
type tlsTerms struct {
	plain string // the URL without TLS; empty: there is none
	proxy bool   // it is with a proxy
	ours  clientCertificate
}

// clientCertificate says what became of the client's own certificate.
type clientCertificate uint8

const (
	notAskedFor clientCertificate = iota
	askedFor                      // and there was none
	unfit                         // none fits what was asked for
	presented
)

// watch makes conf note whether the server asks for a certificate. The choice is that of
// crypto/tls: the first that fits.
func (t *tlsTerms) watch(conf *tls.Config) {
	choose := conf.GetClientCertificate
	if choose == nil {
		certificates := conf.Certificates
		choose = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			for i := range certificates {
				if asked.SupportsCertificate(&certificates[i]) == nil {
					return &certificates[i], nil
				}
			}
			return new(tls.Certificate), nil
		}
	}
	conf.GetClientCertificate = func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		chosen, err := choose(asked)
		switch {
		case chosen != nil && len(chosen.Certificate) > 0:
			t.ours = presented
		case len(conf.Certificates) > 0:
			t.ours = unfit
		default:
			t.ours = askedFor
		}
		return chosen, err
	}
}

// Unverified reports whether conf accepts the certificate of any server: it neither
// checks it as usual nor by a function of its own.
func Unverified(conf *tls.Config) bool {
	return conf.InsecureSkipVerify && conf.VerifyConnection == nil && conf.VerifyPeerCertificate == nil
}

// refusedBy is what the other side says in an alert; nil: err is none.
func refusedBy(err error) error {
	alert, ok := errors.AsType[*net.OpError](err)
	if !ok || alert.Op != "remote error" {
		return nil
	}
	return alert.Err
}
