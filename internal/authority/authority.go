// Package authority signs certificates for tests.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority signs certificates.
type Authority struct {
	// Roots has the authority's own certificate, and nothing else.
	Roots *x509.CertPool

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New makes an authority that is valid for a day.
func New(t testing.TB) *Authority {
	t.Helper()
	template := newTemplate("test authority")
	template.Subject.SerialNumber = template.SerialNumber.String()
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	made := sign(t, template, nil, nil)
	a := &Authority{Roots: x509.NewCertPool(), certificate: made.Leaf, key: made.PrivateKey.(*ecdsa.PrivateKey)}
	a.Roots.AddCert(a.certificate)
	return a
}

// Issue makes a certificate for hosts, names or addresses, of which the first is the
// subject. It is for servers and clients, and valid for a day. change, if not nil,
// changes what is signed.
func (a *Authority) Issue(t testing.TB, change func(*x509.Certificate), hosts ...string) tls.Certificate {
	t.Helper()
	return sign(t, leaf(change, hosts), a.certificate, a.key)
}

// SelfSigned makes a certificate for hosts that is its own authority.
func SelfSigned(t testing.TB, hosts ...string) tls.Certificate {
	t.Helper()
	return sign(t, leaf(nil, hosts), nil, nil)
}

func leaf(change func(*x509.Certificate), hosts []string) *x509.Certificate {
	template := newTemplate(hosts[0])
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if change != nil {
		change(template)
	}
	return template
}

func newTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

// sign makes a key and a certificate for it, which the parent has signed; nil: itself.
func sign(t testing.TB, template, parent *x509.Certificate, by *ecdsa.PrivateKey) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed}
}
