package broker

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/authority"
	"github.com/seed65a45251/mqtt/wire"
)

// secureDoor is a broker with TLS on "tls" and "wss" and without on "tcp", and its log.
type secureDoor struct {
	log       *logged
	addresses map[string]string
}

func openDoor(t *testing.T, conf *tls.Config) *secureDoor {
	d := &secureDoor{log: new(logged), addresses: make(map[string]string)}
	b := New(Config{TLS: conf, Logger: slog.New(slog.NewTextHandler(d.log, nil))})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	for _, network := range []string{"tcp", "tls", "wss"} {
		addr, err := b.Listen(t.Context(), network, "127.0.0.1:0")
		require.NoError(t, err)
		d.addresses[network] = addr.String()
	}
	return d
}

// says waits for the log to say that a connection was refused for a reason that contains
// text.
func (d *secureDoor) says(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		for line := range strings.Lines(d.log.String()) {
			if strings.Contains(line, "connection refused") && strings.Contains(line, text) {
				return true
			}
		}
		return false
	}, time.Minute, time.Millisecond, "%v", d.log)
}

func (d *secureDoor) dial(t *testing.T, network string) net.Conn {
	nc, err := net.Dial("tcp", d.addresses[network])
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	return nc
}

// plainConnect returns the bytes of a CONNECT.
func plainConnect(t *testing.T) []byte {
	b, err := (&wire.Connect{ClientID: "c1"}).Append(nil, wire.V5)
	require.NoError(t, err)
	return b
}

func TestCertificatesOfClientsThatAreDemanded(t *testing.T) {
	ca, other := authority.New(t), authority.New(t)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	forServers := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for name, test := range map[string]struct {
		certificates []tls.Certificate
		log          string
	}{
		"none":              {nil, "client didn't provide a certificate"},
		"another authority": {[]tls.Certificate{other.Issue(t, nil, "c1")}, "certificate signed by unknown authority"},
		"self-signed":       {[]tls.Certificate{authority.SelfSigned(t, "c1")}, "certificate signed by unknown authority"},
		"expired":           {[]tls.Certificate{ca.Issue(t, expired, "c1")}, "has expired"},
		"for servers":       {[]tls.Certificate{ca.Issue(t, forServers, "c1")}, "incompatible key usage"},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, network := range []string{"tls", "wss"} {
				t.Run(name+" "+tls.VersionName(version)+" "+network, func(t *testing.T) {
					t.Parallel()
					d := openDoor(t, &tls.Config{
						Certificates: []tls.Certificate{ca.Issue(t, nil, "localhost")},
						ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Roots,
					})
					conf := &tls.Config{RootCAs: ca.Roots, ServerName: "localhost", MaxVersion: version}
					conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						if len(test.certificates) == 0 {
							return new(tls.Certificate), nil
						}
						return &test.certificates[0], nil
					}
					nc := tls.Client(d.dial(t, network), conf)
					// The client learns why, though it has gone on.
					err := nc.Handshake()
					if err == nil {
						_, _ = nc.Write(plainConnect(t))
						_, err = nc.Read(make([]byte, 1))
					}
					require.ErrorContains(t, err, "remote error: tls: ")
					d.says(t, test.log)
					d.says(t, "TLS handshake: ")
				})
			}
		}
	}
}

func TestStrangersAreNamedInTheLog(t *testing.T) {
	ca := authority.New(t)
	for name, test := range map[string]struct {
		network string
		says    func(nc net.Conn) error
		log     string
	}{
		"TLS on a plain port": {"tcp", func(nc net.Conn) error {
			return tls.Client(nc, &tls.Config{ServerName: "localhost"}).Handshake()
		}, "client speaks TLS and this port does not"},
		"HTTP on a plain port": {"tcp", func(nc net.Conn) error {
			_, err := io.WriteString(nc, "GET /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n")
			return err
		}, "client speaks HTTP and this port does not"},
		"MQTT on a port of TLS": {"tls", func(nc net.Conn) error {
			_, err := nc.Write(plainConnect(t))
			return err
		}, "client does not speak TLS, which this port does"},
		"a client that does not trust us": {"tls", func(nc net.Conn) error {
			return tls.Client(nc, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}).Handshake()
		}, "client has refused TLS, perhaps the certificate"},
		"a client that does not trust us, wss": {"wss", func(nc net.Conn) error {
			return tls.Client(nc, &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}).Handshake()
		}, "TLS handshake: remote error: tls: bad certificate"},
		"TLS 1.1": {"tls", func(nc net.Conn) error {
			return tls.Client(nc, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
		}, "client offered only unsupported versions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openDoor(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, nil, "localhost")}})
			nc := d.dial(t, test.network)
			_ = test.says(nc)
			d.says(t, test.log)
			// The end is orderly, so that nothing on its way to the client is lost.
			_, err := io.Copy(io.Discard, nc)
			require.NoError(t, err)
		})
	}
}

func TestClientWithoutTLSIsToldThatThisIsTLS(t *testing.T) {
	d := openDoor(t, &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "localhost")}})
	nc := d.dial(t, "tls")
	_, err := nc.Write(plainConnect(t))
	require.NoError(t, err)
	told, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Equal(t, []byte{21, 3, 3, 0, 2, 2, 10}, told, "an alert of TLS")
}

func TestLogHasLittleOfWhatAClientIsCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		b := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: strings.Repeat("long\n", 12_000), CleanStart: true})
		s.send(&wire.Disconnect{})
		s.closed()
		require.NoError(t, b.Close())
		for line := range strings.Lines(log.String()) {
			require.Less(t, len(line), 1000)
		}
		require.Contains(t, log.String(), `long\n`)
	})
}
