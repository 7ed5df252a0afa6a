package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// makeCertificate writes a certificate for the loopback address, and its key, to
// files in dir, where clients in every language find them.
func makeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IsCA:         true, // it is its own root
	}
	template.BasicConstraintsValid = true
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(certificateFile(dir), "CERTIFICATE", certificate),
		writePEM(keyFile(dir), "PRIVATE KEY", private),
	)
}

func certificateFile(dir string) string { return filepath.Join(dir, "certificate.pem") }

func keyFile(dir string) string { return filepath.Join(dir, "key.pem") }

func writePEM(file, kind string, b []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600)
}

// presenting is for a server with the certificate in dir.
func presenting(dir string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(certificateFile(dir), keyFile(dir))
	return &tls.Config{Certificates: []tls.Certificate{pair}}, err
}

// trusting is for clients of that server. It names the host, which some
// libraries do not.
func trusting(file string) (*tls.Config, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, errors.New("no certificate in " + file)
	}
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}, nil
}
