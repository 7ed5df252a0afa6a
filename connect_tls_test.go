package mqtt_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/pipe"
)

// hello connects to url and returns what the client's hello said to a TLS server
// with the certificate of example.com.
func hello(t *testing.T, url string, cfg mqtt.Config, change func(*tls.Config)) (*tls.ClientHelloInfo, error) {
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	defer https.Close()
	var said *tls.ClientHelloInfo
	conf := &tls.Config{Certificates: https.TLS.Certificates, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		said = h
		return nil, nil
	}}
	if change != nil {
		change(conf)
	}
	cfg.Version = mqtt.V5 // or it would dial once more
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{}
	}
	cfg.TLS.RootCAs = x509.NewCertPool()
	cfg.TLS.RootCAs.AddCert(https.Certificate())
	l := pipe.Listen(0)
	defer l.Close()
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }
	serving := begin(func() error {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		defer nc.Close()
		return tls.Server(nc, conf).HandshakeContext(t.Context())
	})
	_, err := mqtt.Connect(t.Context(), url, cfg)
	require.Error(t, err, "the server hangs up")
	serving.wait()
	return said, err
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
		said, err := hello(t, url, mqtt.Config{TLS: test.conf}, nil)
		require.NotNil(t, said, "%s: %v", url, err)
		require.Equal(t, test.name, said.ServerName, url)
		require.Equal(t, test.protos, said.SupportedProtos, url)
		require.NotContains(t, said.SupportedVersions, uint16(tls.VersionTLS11), url)
	}
}

func TestTLSIsAtLeast12UnlessAskedFor(t *testing.T) {
	old := func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
	_, err := hello(t, "mqtts://example.com", mqtt.Config{}, old)
	require.ErrorContains(t, err, "protocol version not supported")
	_, err = hello(t, "mqtts://example.com", mqtt.Config{TLS: &tls.Config{MinVersion: tls.VersionTLS10}}, old)
	require.NotContains(t, err.Error(), "protocol version")
}

func TestCertificateHasToFitTheHost(t *testing.T) {
	_, err := hello(t, "mqtts://elsewhere.example", mqtt.Config{}, nil)
	require.ErrorContains(t, err, "not elsewhere.example")
}
