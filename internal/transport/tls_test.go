package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/internal/transport"
)

// hello connects to url and returns what the client's hello said to a TLS server
// with the certificate of example.com.
func hello(t *testing.T, url string, conf *tls.Config, change func(*tls.Config)) (*tls.ClientHelloInfo, error) {
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	defer https.Close()
	var said *tls.ClientHelloInfo
	server := &tls.Config{Certificates: https.TLS.Certificates, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		said = h
		return nil, nil
	}}
	if change != nil {
		change(server)
	}
	if conf == nil {
		conf = &tls.Config{}
	}
	conf.RootCAs = x509.NewCertPool()
	conf.RootCAs.AddCert(https.Certificate())
	l := pipe.Listen(0)
	defer l.Close()
	var serving sync.WaitGroup
	serving.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		tls.Server(nc, server).HandshakeContext(t.Context())
	})
	err := connect(t, url, conf, func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) })
	require.Error(t, err, "the server hangs up")
	serving.Wait()
	return said, err
}

// connect goes from url to a connection that dial begins, and reads from it.
func connect(t *testing.T, url string, conf *tls.Config, dial func(context.Context, string, string) (net.Conn, error)) error {
	server, _, err := transport.Parse(url)
	require.NoError(t, err)
	d, err := transport.New(transport.Options{Dial: dial})
	require.NoError(t, err)
	found, err := d.Endpoints(t.Context(), server)
	require.NoError(t, err)
	c, err := d.Dial(t.Context(), found[0], found[0].Address)
	require.NoError(t, err)
	if err := c.Upgrade(t.Context(), found[0].Host, transport.Upgrade{Server: server, TLS: conf}); err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	return err
}

func TestTLSHello(t *testing.T) {
	for url, test := range map[string]struct {
		conf   *tls.Config
		name   string
		protos []string
	}{
		"mqtts://example.com":        {nil, "example.com", nil},
		"tls://example.com:443":      {&tls.Config{NextProtos: []string{"x-amzn-mqtt-ca"}}, "example.com", []string{"x-amzn-mqtt-ca"}},
		"ssl://other":                {&tls.Config{ServerName: "example.com", NextProtos: []string{"mqtt"}}, "example.com", []string{"mqtt"}},
		"wss://example.com":          {nil, "example.com", []string{"http/1.1"}},
		"wss://example.com/":         {&tls.Config{NextProtos: []string{"own"}}, "example.com", []string{"own"}},
		"mqtts+unix:///run/s":        {&tls.Config{ServerName: "example.com"}, "example.com", nil},
		"wss+unix:///run/s:/ws?a=b":  {&tls.Config{ServerName: "example.com"}, "example.com", []string{"http/1.1"}},
		"mqtts://u:p@example.com:12": {nil, "example.com", nil},
	} {
		said, err := hello(t, url, test.conf, nil)
		require.NotNil(t, said, "%s: %v", url, err)
		require.Equal(t, test.name, said.ServerName, url)
		require.Equal(t, test.protos, said.SupportedProtos, url)
		require.NotContains(t, said.SupportedVersions, uint16(tls.VersionTLS11), url)
	}
}

func TestTLSIsAtLeast12UnlessAskedFor(t *testing.T) {
	old := func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
	_, err := hello(t, "mqtts://example.com", nil, old)
	require.ErrorContains(t, err, "protocol version not supported")
	_, err = hello(t, "mqtts://example.com", &tls.Config{MinVersion: tls.VersionTLS10}, old)
	require.NotContains(t, err.Error(), "protocol version")
}

func TestCertificateHasToFitTheHost(t *testing.T) {
	_, err := hello(t, "mqtts://elsewhere.example", nil, nil)
	require.ErrorContains(t, err, "not elsewhere.example")
}

func TestCertificateIsCheckedWithoutTheZone(t *testing.T) {
	_, err := hello(t, "mqtts://[fe80::1%25eth0]", nil, nil)
	require.ErrorContains(t, err, "certificate is valid for 127.0.0.1, ::1, not fe80::1")
}
