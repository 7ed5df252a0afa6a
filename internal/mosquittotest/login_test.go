package mosquittotest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestMosquittoOverTLSWithAClientCertificate(t *testing.T) {
	server := startServer(t, mosquitto.Options{TLS: true})
	for _, scheme := range []string{"mqtts", "tls", "ssl"} {
		eachVersion(t, func(t *testing.T, v mqtt.Version) {
			client := connectTo(t, scheme+"://"+server.TLSAddr(), mqtt.Config{Version: v, TLS: server.ClientTLS()})
			sub := subscribeTo(t, client, "tls", mqtt.ExactlyOnce)
			large := string(make([]byte, 1<<20))
			publish(t, client, "tls", large, mqtt.ExactlyOnce)
			wantPayloads(t, sub, large)
			require.NoError(t, client.Disconnect(testContext(t)))
		})
	}
}

func TestMosquittoRefusesAWrongCertificate(t *testing.T) {
	server := startServer(t, mosquitto.Options{TLS: true})
	other := startServer(t, mosquitto.Options{TLS: true})
	none, foreign := server.ClientTLS(), server.ClientTLS()
	none.Certificates = nil
	foreign.Certificates = other.ClientTLS().Certificates
	for name, test := range map[string]struct {
		conf *tls.Config
		said string
		cure string
	}{
		"none":                 {none, "certificate required", "the server wants a certificate of the client: set Certificates of Config.TLS"},
		"of another authority": {foreign, "unknown certificate authority", "the server does not accept the client's certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v mqtt.Version) {
				// With TLS 1.3 the refusal comes after the client's part of the
				// handshake. It must be told however it races with CONNECT.
				for range 50 {
					_, err := mqtt.Connect(testContext(t), server.TLSURL(), mqtt.Config{Version: v, TLS: test.conf})
					require.ErrorContains(t, err, "tls: "+test.said)
					require.ErrorContains(t, err, test.cure)
				}
			})
		})
	}
}

func TestWrongPortsOfMosquittoAreRecognised(t *testing.T) {
	server := startServer(t, mosquitto.Options{TLS: true})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		_, err := mqtt.Connect(testContext(t), "mqtts://"+server.Addr(), mqtt.Config{Version: v, TLS: server.ClientTLS()})
		require.ErrorContains(t, err, "did you mean mqtt://"+server.Addr()+"?")
		_, err = mqtt.Connect(testContext(t), "mqtt://"+server.TLSAddr(), mqtt.Config{Version: v})
		require.ErrorContains(t, err, "did you mean mqtts://"+server.TLSAddr()+"?")
	})
}

func TestMosquittoWithACertificateThatNobodyTrustsIsRefused(t *testing.T) {
	server := startServer(t, mosquitto.Options{TLS: true})
	other := startServer(t, mosquitto.Options{TLS: true})
	conf := server.ClientTLS()
	conf.RootCAs = other.ClientTLS().RootCAs
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		_, err := mqtt.Connect(testContext(t), server.TLSURL(), mqtt.Config{Version: v, TLS: conf})
		require.ErrorAs(t, err, new(x509.UnknownAuthorityError))
	})
}

func TestMosquittoWantsUserNameAndPassword(t *testing.T) {
	server := startServer(t, mosquitto.Options{Users: map[string]string{"worker": "p@ss:word/ä"}})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, server.URL(), mqtt.Config{Version: v, Username: "worker", Password: "p@ss:word/ä"})
		publish(t, client, "x", "", mqtt.ExactlyOnce)

		u := url.URL{Scheme: "mqtt", Host: server.Addr(), User: url.UserPassword("worker", "p@ss:word/ä")}
		client = connectTo(t, u.String(), mqtt.Config{Version: v})
		publish(t, client, "x", "", mqtt.ExactlyOnce)
	})
}

func TestMosquittoRefusesAWrongPasswordForGood(t *testing.T) {
	server := startServer(t, mosquitto.Options{Users: map[string]string{"worker": "secret"}})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		for name, cfg := range map[string]mqtt.Config{
			"wrong password": {Username: "worker", Password: "guess"},
			"unknown user":   {Username: "nobody", Password: "secret"},
			"anonymous":      {},
		} {
			cfg.Version = v
			cfg.RetryFirst = true // and yet it is not tried again
			_, err := mqtt.Connect(testContext(t), server.URL(), cfg)
			require.ErrorAs(t, err, new(*mqtt.ServerError), name)
			require.Truef(t, errors.Is(err, mqtt.NotAuthorized) || errors.Is(err, mqtt.BadUserNameOrPassword), "%s: %v", name, err)
			require.True(t, mqtt.IsPermanent(err), name)
			require.NotContains(t, err.Error(), "secret")
			require.NotContains(t, err.Error(), "guess")
			t.Logf("%s: %v", name, err)
		}
	})
}
