package guides_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/wire"
)

func privateCA(ctx context.Context, caFile string, address string) (*mqtt.Client, error) {
	// <private-ca>
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate", caFile)
	}
	client, err := mqtt.Connect(ctx, "mqtts://"+address, mqtt.Config{
		TLS: &tls.Config{RootCAs: roots},
	})
	// </private-ca>
	return client, err
}

func clientCertificate(ctx context.Context, server string, roots *x509.CertPool, certFile, keyFile string) (*mqtt.Client, error) {
	// <client-certificate>
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	client, err := mqtt.Connect(ctx, server, mqtt.Config{
		ClientID: "meter-12",
		TLS: &tls.Config{
			RootCAs:      roots,
			Certificates: []tls.Certificate{certificate},
		},
	})
	// </client-certificate>
	return client, err
}

func rotated(roots *x509.CertPool, certFile, keyFile string) mqtt.Config {
	// <rotation>
	cfg := mqtt.Config{
		ClientID: "meter-12",
		TLS:      &tls.Config{RootCAs: roots},
		Attempt: func(ctx context.Context, a *mqtt.Attempt) error {
			certificate, err := tls.LoadX509KeyPair(certFile, keyFile) // as it is now
			if err != nil {
				return err // counts as a failed attempt; the next one reads again
			}
			a.TLS.Certificates = []tls.Certificate{certificate}
			return nil
		},
	}
	// </rotation>
	return cfg
}

// <pinning>
// pinned accepts a server only if its certificate, or one above it, has one of these
// public keys, given as SHA-256 of their DER form. The ordinary checks come first.
func pinned(roots *x509.CertPool, keys ...[32]byte) *tls.Config {
	return &tls.Config{
		RootCAs: roots,
		VerifyConnection: func(c tls.ConnectionState) error {
			for _, chain := range c.VerifiedChains {
				for _, certificate := range chain {
					sum := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
					for _, key := range keys {
						if bytes.Equal(sum[:], key[:]) {
							return nil
						}
					}
				}
			}
			return errors.New("the server has none of the pinned keys")
		},
	}
}

// </pinning>

func otherName(roots *x509.CertPool) mqtt.Config {
	// <name>
	cfg := mqtt.Config{TLS: &tls.Config{
		RootCAs:    roots,
		ServerName: "mqtt.example.com", // what the certificate is for; the URL has an address
	}}
	// </name>
	return cfg
}

// <any-name>
// anyName accepts every certificate that one of these roots has signed for a server,
// whatever its name is. Whoever has one of them can pretend to be the server.
func anyName(roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection checks in its place
		VerifyConnection: func(c tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, above := range c.PeerCertificates[1:] {
				options.Intermediates.AddCert(above)
			}
			_, err := c.PeerCertificates[0].Verify(options)
			return err
		},
	}
}

// </any-name>

func alpn() mqtt.Config {
	// <alpn>
	cfg := mqtt.Config{TLS: &tls.Config{
		NextProtos: []string{"mqtt"},
		MinVersion: tls.VersionTLS13,
	}}
	// </alpn>
	return cfg
}

// <server>
func serveTLS(ctx context.Context, address, certFile, keyFile string, clients *x509.CertPool) (*broker.Broker, net.Addr, error) {
	b := broker.New(broker.Config{
		TLS: &tls.Config{
			ClientAuth: tls.RequireAndVerifyClientCert,
			ClientCAs:  clients,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				c, err := tls.LoadX509KeyPair(certFile, keyFile) // as it is now
				return &c, err
			},
		},
		Authenticators: []broker.Authenticator{broker.AuthenticatorFunc(byCertificate)},
	})
	addr, err := b.Listen(ctx, "tls", address) // such as :8883
	return b, addr, err
}

// byCertificate takes the user's name from the certificate, which TLS has verified.
func byCertificate(_ context.Context, l *broker.Login) broker.Decision {
	l.Username = l.TLS.VerifiedChains[0][0].Subject.CommonName
	if l.ClientID != l.Username {
		return broker.Deny(wire.ClientIdentifierNotValid, "the client identifier is the name in the certificate")
	}
	return broker.Allow()
}

// </server>

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newCA(t)
	caFile := filepath.Join(dir, "ca.pem")
	require.NoError(t, os.WriteFile(caFile, ca.pem, 0o600))
	serverCert, serverKey := ca.issue(t, dir, "server", "mqtt.example.com", "localhost")
	cert, key := ca.issue(t, dir, "client", "meter-12")
	b, addr, err := serveTLS(t.Context(), "127.0.0.1:0", serverCert, serverKey, ca.pool)
	require.NoError(t, err)
	defer b.Close()
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)
	server := "mqtts://localhost:" + port

	// Somebody without a certificate is turned away, and one without our authority.
	_, err = privateCA(t.Context(), caFile, "localhost:"+port)
	require.Error(t, err)
	_, err = mqtt.Connect(t.Context(), server, alpn())
	require.ErrorContains(t, err, "certificate signed by unknown authority")

	client, err := clientCertificate(t.Context(), server, ca.pool, cert, key)
	require.NoError(t, err)
	require.Equal(t, "meter-12", b.Clients()[0].Peer.Username)
	require.NoError(t, client.Close())

	cfg := otherName(ca.pool)
	cfg.ClientID = "meter-12"
	cfg.TLS.Certificates = rotatedCertificate(t, cert, key)
	client, err = mqtt.Connect(t.Context(), "mqtts://127.0.0.1:"+port, cfg)
	require.NoError(t, err)
	require.NoError(t, client.Close())
	cfg.TLS.ServerName = "other.example.com"
	_, err = mqtt.Connect(t.Context(), "mqtts://127.0.0.1:"+port, cfg)
	require.ErrorContains(t, err, "certificate is valid for mqtt.example.com, localhost, not other.example.com")
}

func TestRotationTakesTheNewCertificate(t *testing.T) {
	dir := t.TempDir()
	ca := newCA(t)
	serverCert, serverKey := ca.issue(t, dir, "server", "localhost")
	cert, key := ca.issue(t, dir, "client", "meter-12")
	b, addr, err := serveTLS(t.Context(), "127.0.0.1:0", serverCert, serverKey, ca.pool)
	require.NoError(t, err)
	defer b.Close()
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)

	cfg := rotated(ca.pool, cert, key)
	attempt := cfg.Attempt
	var mu sync.Mutex
	var used [][]byte
	cfg.Attempt = func(ctx context.Context, a *mqtt.Attempt) error {
		err := attempt(ctx, a)
		mu.Lock()
		defer mu.Unlock()
		used = append(used, a.TLS.Certificates[0].Certificate[0])
		return err
	}
	client, err := mqtt.Connect(t.Context(), "mqtts://localhost:"+port, cfg)
	require.NoError(t, err)
	defer client.Close()
	ca.issue(t, dir, "client", "meter-12")
	require.NoError(t, client.Reconnect(t.Context()))
	mu.Lock()
	defer mu.Unlock()
	require.NotEqual(t, used[0], used[len(used)-1])
}

func TestPinning(t *testing.T) {
	ca := newCA(t)
	certFile, keyFile := ca.issue(t, t.TempDir(), "server", "localhost")
	certificate := rotatedCertificate(t, certFile, keyFile)
	b := broker.New(broker.Config{TLS: &tls.Config{Certificates: certificate}})
	defer b.Close()
	addr, err := b.Listen(t.Context(), "tls", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)

	parsed, err := x509.ParseCertificate(certificate[0].Certificate[0])
	require.NoError(t, err)
	right := sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
	client, err := mqtt.Connect(t.Context(), "mqtts://localhost:"+port, mqtt.Config{TLS: pinned(ca.pool, right)})
	require.NoError(t, err)
	require.NoError(t, client.Close())
	_, err = mqtt.Connect(t.Context(), "mqtts://localhost:"+port, mqtt.Config{TLS: pinned(ca.pool, [32]byte{1})})
	require.ErrorContains(t, err, "none of the pinned keys")
}

func TestAnyNameButNotAnyAuthority(t *testing.T) {
	ca, other := authority.New(t), authority.New(t)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	for name, test := range map[string]struct {
		certificate tls.Certificate
		refused     string
	}{
		"another name":      {ca.Issue(t, nil, "factory.invalid"), ""},
		"another authority": {other.Issue(t, nil, "localhost"), "put the authority that has signed it into RootCAs"},
		"expired":           {ca.Issue(t, expired, "localhost"), "it has to be renewed"},
		"self-signed":       {authority.SelfSigned(t, "localhost"), "because it is self-signed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := broker.New(broker.Config{TLS: &tls.Config{Certificates: []tls.Certificate{test.certificate}}})
			defer b.Close()
			addr, err := b.Listen(t.Context(), "tls", "127.0.0.1:0")
			require.NoError(t, err)
			client, err := mqtt.Connect(t.Context(), "mqtts://"+addr.String(), mqtt.Config{TLS: anyName(ca.Roots)})
			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)
				return
			}
			require.NoError(t, err)
			require.NoError(t, client.Close())
		})
	}
}

func rotatedCertificate(t *testing.T, certFile, keyFile string) []tls.Certificate {
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	require.NoError(t, err)
	return []tls.Certificate{c}
}

// ca is an authority for one test.
type ca struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
	pool *x509.CertPool
}

func newCA(t *testing.T) *ca {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &ca{key: key, cert: cert, pool: pool, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue writes a certificate for these names, of which the first is its subject.
func (ca *ca) issue(t *testing.T, dir, file string, names ...string) (certFile, keyFile string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca.cert, key.Public(), ca.key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(dir, file+".pem"), filepath.Join(dir, file+".key")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}
