package clienttest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/internal/authority"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// securely listens with conf on a loopback port, for network "tls" or "wss".
func securely(t *testing.T, network string, conf *tls.Config) (port string) {
	b := broker.New(broker.Config{TLS: conf, Authenticators: []broker.Authenticator{broker.AllowAll{}}})
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	addr, err := b.Listen(t.Context(), network, "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err = net.SplitHostPort(addr.String())
	require.NoError(t, err)
	return port
}

// raw listens on a loopback port and does with each connection what serve says.
func raw(t *testing.T, serve func(net.Conn)) (port string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	t.Cleanup(func() { ln.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(time.Minute))
				serve(nc)
			})
		}
	})
	_, port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return port
}

func expired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
}

func notYet(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
}

func forClients(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

// distrust is a server that a client must refuse, or that refuses the client.
type distrust struct {
	server func(*tls.Config)
	client func(*tls.Config)
	host   string   // in place of localhost
	says   []string // parts of the error
}

func distrusts(t *testing.T, ca, other *authority.Authority) map[string]distrust {
	presents := func(c tls.Certificate) func(*tls.Config) {
		return func(conf *tls.Config) { conf.Certificates = []tls.Certificate{c} }
	}
	demands := func(conf *tls.Config) { conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, ca.Roots }
	demands12 := func(conf *tls.Config) { demands(conf); conf.MaxVersion = tls.VersionTLS12 }
	old := func(conf *tls.Config) { conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
	const renew = "the clock of this machine is wrong"
	return map[string]distrust{
		"wrong host":            {host: "127.0.0.1", server: presents(ca.Issue(t, nil, "localhost")), says: []string{"127.0.0.1", "set ServerName of Config.TLS"}},
		"wrong name":            {server: presents(ca.Issue(t, nil, "other.example")), says: []string{"valid for other.example, not localhost", "set ServerName of Config.TLS"}},
		"expired":               {server: presents(ca.Issue(t, expired, "localhost")), says: []string{"has expired", "has to be renewed", renew}},
		"not yet valid":         {server: presents(ca.Issue(t, notYet, "localhost")), says: []string{"is not valid yet", renew}},
		"self-signed":           {server: presents(authority.SelfSigned(t, "localhost")), says: []string{"unknown authority", "put it, because it is self-signed, into RootCAs of Config.TLS"}},
		"unknown authority":     {server: presents(other.Issue(t, nil, "localhost")), says: []string{"unknown authority", "put the authority that has signed it into RootCAs"}},
		"a client's":            {server: presents(ca.Issue(t, forClients, "localhost")), says: []string{"incompatible key usage", "not one of a server"}},
		"TLS 1.1":               {server: old, says: []string{"protocol version", "MinVersion"}},
		"no protocol in common": {server: func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, client: func(c *tls.Config) { c.NextProtos = []string{"mqtt"} }, says: []string{"NextProtos of Config.TLS"}},
		"no cipher in common": {
			server: func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			},
			client: func(c *tls.Config) {
				c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
			},
			says: []string{"handshake failure", "cipher suites"},
		},
		"no client certificate":             {server: demands, says: []string{"wants a certificate of the client: set Certificates of Config.TLS"}},
		"no client certificate, TLS 1.2":    {server: demands12, says: []string{"wants a certificate of the client: set Certificates of Config.TLS"}},
		"wrong client certificate":          {server: demands, client: presents(other.Issue(t, nil, "c1")), says: []string{"from an authority to which none in Certificates of Config.TLS belongs"}},
		"wrong client certificate, TLS 1.2": {server: demands12, client: presents(other.Issue(t, nil, "c1")), says: []string{"from an authority to which none in Certificates of Config.TLS belongs"}},
		"client certificate, sent unasked for its authority": {
			server: demands, says: []string{"does not accept the client's certificate"},
			client: func(conf *tls.Config) {
				wrong := other.Issue(t, nil, "c1")
				conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &wrong, nil }
			},
		},
		"expired client certificate": {server: demands, client: presents(ca.Issue(t, expired, "c1")), says: []string{"does not accept the client's certificate"}},
	}
}

func TestTLSIsRefusedWithWhatToDo(t *testing.T) {
	ca, other := authority.New(t), authority.New(t)
	right := ca.Issue(t, nil, "localhost")
	for name, test := range distrusts(t, ca, other) {
		for _, scheme := range []string{"mqtts", "wss"} {
			t.Run(name+" "+scheme, func(t *testing.T) {
				t.Parallel()
				server := &tls.Config{Certificates: []tls.Certificate{right}}
				if test.server != nil {
					test.server(server)
				}
				client := &tls.Config{RootCAs: ca.Roots}
				if test.client != nil {
					test.client(client)
				}
				host := "localhost"
				if test.host != "" {
					host = test.host
				}
				if name == "no protocol in common" && scheme == "wss" {
					client.NextProtos = []string{"h3"} // the broker sets its own
				}
				err := refused(t, scheme+"://"+host+":"+securely(t, map[string]string{"mqtts": "tls", "wss": "wss"}[scheme], server), mqtt.Config{TLS: client})
				for _, part := range test.says {
					require.ErrorContains(t, err, part)
				}
			})
		}
	}
}

// refused connects in vain.
func refused(t *testing.T, url string, cfg mqtt.Config) error {
	t.Helper()
	cfg.ConnectTimeout = time.Minute
	client, err := mqtt.Connect(t.Context(), url, cfg)
	if err == nil {
		client.Close()
	}
	require.Error(t, err)
	t.Log(err)
	return err
}

func TestWrongPortsAreRecognised(t *testing.T) {
	ca := authority.New(t)
	conf := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, nil, "localhost")}}
	plain := broker.New(broker.Config{})
	t.Cleanup(func() { require.NoError(t, plain.Close()) })
	hello := make([]byte, 10)
	for name, test := range map[string]struct {
		scheme, port, says string
	}{
		"mqtts at a port of MQTT":           {"mqtts", listening(t, plain, "tcp"), "did you mean mqtt://localhost:PORT?"},
		"mqtts at a WebSocket":              {"mqtts", listening(t, plain, "ws"), "the server does not speak TLS; did you mean mqtt://localhost:PORT?"},
		"wss at a WebSocket":                {"wss", listening(t, plain, "ws"), "the server does not speak TLS; did you mean ws://localhost:PORT/mqtt?"},
		"wss at a port of MQTT":             {"wss", listening(t, plain, "tcp"), "did you mean ws://localhost:PORT/mqtt?"},
		"mqtt at a port of TLS":             {"mqtt", securely(t, "tls", conf), "server speaks TLS and not MQTT; did you mean mqtts://localhost:PORT?"},
		"mqtts at a port that ends":         {"mqtts", raw(t, func(nc net.Conn) { io.ReadFull(nc, hello) }), "did you mean mqtt://localhost:PORT?"},
		"mqtts at a port that only listens": {"mqtts", raw(t, func(nc net.Conn) { nc.(*net.TCPConn).CloseWrite(); io.Copy(io.Discard, nc) }), "did you mean mqtt://localhost:PORT?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := refused(t, test.scheme+"://localhost:"+test.port, mqtt.Config{TLS: &tls.Config{RootCAs: ca.Roots}})
			require.ErrorContains(t, err, strings.ReplaceAll(test.says, "PORT", test.port))
		})
	}
}

func listening(t *testing.T, b *broker.Broker, network string) (port string) {
	addr, err := b.Listen(t.Context(), network, "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err = net.SplitHostPort(addr.String())
	require.NoError(t, err)
	return port
}

// warnings counts the lines that warn of certificates nobody verifies.
func warnings(log *records) int {
	log.mu.Lock()
	defer log.mu.Unlock()
	return strings.Count(log.b.String(), `"level":"WARN","msg":"mqtt certificate of the server is not verified`)
}

func TestUnverifiedCertificateIsWarnedOfOnce(t *testing.T) {
	conf := &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "elsewhere")}}
	known := x509.NewCertPool()
	known.AddCert(conf.Certificates[0].Leaf)
	pass := func(tls.ConnectionState) error { return nil }
	for name, test := range map[string]struct {
		network, scheme string
		client          *tls.Config
		want            int
	}{
		"mqtts":                {"tls", "mqtts", &tls.Config{InsecureSkipVerify: true}, 1},
		"wss":                  {"wss", "wss", &tls.Config{InsecureSkipVerify: true}, 1},
		"no TLS":               {"tcp", "mqtt", &tls.Config{InsecureSkipVerify: true}, 0},
		"verified by function": {"tls", "mqtts", &tls.Config{InsecureSkipVerify: true, VerifyConnection: pass}, 0},
		"verified":             {"tls", "mqtts", &tls.Config{RootCAs: known, ServerName: "elsewhere"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(records)
			url := test.scheme + "://127.0.0.1:" + securely(t, test.network, conf)
			cfg := mqtt.Config{TLS: test.client, Logger: slog.New(slog.NewJSONHandler(log, nil))}
			client, err := mqtt.Connect(t.Context(), url, cfg)
			require.NoError(t, err)
			defer client.Close()
			require.Equal(t, test.want, warnings(log))
			require.NoError(t, client.Reconnect(t.Context()))
			_, err = client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "a"}}, OwnConnection: true})
			require.NoError(t, err)
			require.Equal(t, test.want, warnings(log))
		})
	}
}

func TestConfigAttemptThatSkipsVerificationIsWarnedOf(t *testing.T) {
	conf := &tls.Config{Certificates: []tls.Certificate{authority.SelfSigned(t, "elsewhere")}}
	log := new(records)
	cfg := mqtt.Config{Logger: slog.New(slog.NewJSONHandler(log, nil)), Attempt: func(_ context.Context, a *mqtt.Attempt) error {
		a.TLS.InsecureSkipVerify = true
		return nil
	}}
	client, err := mqtt.Connect(t.Context(), "mqtts://127.0.0.1:"+securely(t, "tls", conf), cfg)
	require.NoError(t, err)
	defer client.Close()
	require.Equal(t, 1, warnings(log))
}

// tunnel is an HTTPS proxy with conf that leads everywhere.
func tunnel(t *testing.T, conf *tls.Config) (port string) {
	return raw(t, func(nc net.Conn) {
		tc := tls.Server(nc, conf)
		r, err := http.ReadRequest(bufio.NewReader(tc))
		if err != nil {
			_, _ = io.Copy(io.Discard, nc) // the alert must arrive
			return
		}
		back, err := net.Dial("tcp", r.RequestURI)
		if err != nil {
			return
		}
		_, _ = io.WriteString(tc, "HTTP/1.1 200 OK\r\n\r\n")
		Relay(tc, back)
	})
}

func TestProxyHasToBeTrustedByItself(t *testing.T) {
	ca, other := authority.New(t), authority.New(t)
	server := securely(t, "tls", &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, nil, "localhost")}})
	with := func(certificate tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{certificate}}
	}
	right := ca.Issue(t, nil, "localhost")
	demanding := with(right)
	demanding.ClientAuth, demanding.ClientCAs = tls.RequireAndVerifyClientCert, ca.Roots
	for name, test := range map[string]struct {
		proxy *tls.Config
		says  string
	}{
		"right":             {with(right), ""},
		"wrong host":        {with(ca.Issue(t, nil, "other.example")), "name the proxy as its certificate does"},
		"unknown authority": {with(other.Issue(t, nil, "localhost")), "put the authority that has signed it into RootCAs"},
		"expired":           {with(ca.Issue(t, expired, "localhost")), "has to be renewed"},
		"old":               {&tls.Config{Certificates: with(right).Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "the proxy speaks only versions of TLS that are not secure"},
		"wants who we are":  {demanding, "remote error: tls: "},
	} {
		t.Run(name, func(t *testing.T) {
			// Nothing of what is for the server loosens what is asked of the proxy, nor is the
			// client's certificate for it.
			cfg := mqtt.Config{Proxy: "https://localhost:" + tunnel(t, test.proxy), TLS: &tls.Config{
				RootCAs: ca.Roots, InsecureSkipVerify: true, Certificates: []tls.Certificate{ca.Issue(t, nil, "c1")},
			}}
			if test.says == "" {
				client, err := mqtt.Connect(t.Context(), "mqtts://localhost:"+server, cfg)
				require.NoError(t, err)
				require.NoError(t, client.Close())
				return
			}
			err := refused(t, "mqtts://localhost:"+server, cfg)
			require.ErrorContains(t, err, "proxy: ")
			require.ErrorContains(t, err, test.says)
		})
	}
}

func TestPortOfTLSThatHangsUpWithoutAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := Connect(t, "mqtt://host:8883", Quiet(srv))
		conn := srv.Accept()
		conn.WantConnect()
		conn.Close()
		require.ErrorContains(t, d.Call.Wait(), "server closed the connection: EOF (without a word, as a port of TLS does; did you mean mqtts://host:8883?)")
	})
}

// Servers of old answer a hello of TLS 1.3 with a version of their own.
func TestServerThatChoosesAnOldTLS(t *testing.T) {
	port := raw(t, func(nc net.Conn) {
		head := make([]byte, 5)
		if _, err := io.ReadFull(nc, head); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, nc, int64(head[3])<<8|int64(head[4]))
		// ServerHello of TLS 1.1, a random, no session, a cipher suite, no compression.
		hello := append([]byte{2, 0, 0, 38, 3, 2}, make([]byte, 32)...)
		hello = append(hello, 0, 0xc0, 0x09, 0)
		_, _ = nc.Write(append([]byte{22, 3, 2, 0, byte(len(hello))}, hello...))
		_, _ = io.Copy(io.Discard, nc)
	})
	err := refused(t, "mqtts://localhost:"+port, mqtt.Config{})
	require.ErrorContains(t, err, "unless its MinVersion says less")
}

func TestTLSRecordsOfNothing(t *testing.T) {
	port := raw(t, func(nc net.Conn) {
		for range 1 << 20 { // a client that takes them all would be at it for long
			if _, err := nc.Write([]byte{22, 3, 3, 0, 0}); err != nil {
				return
			}
		}
	})
	require.ErrorContains(t, refused(t, "mqtts://localhost:"+port, mqtt.Config{}), "unexpected message")
}
