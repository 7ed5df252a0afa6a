package mosquittotest

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestMosquittoTakesTheCertificateOfTheAttempt(t *testing.T) {
	server := startServer(t, mosquitto.Options{TLS: true})
	plain := server.ClientTLS()
	plain.Certificates = nil
	valid := 0
	client := connectTo(t, server.TLSURL(), mqtt.Config{TLS: plain, RetryFirst: true, Reconnect: eager,
		Attempt: func(_ context.Context, a *mqtt.Attempt) error {
			if valid++; valid > 1 { // the first is refused
				a.TLS.Certificates = server.ClientTLS().Certificates
			}
			return nil
		}})
	publish(t, client, "t", "x", mqtt.AtLeastOnce)
	require.NoError(t, client.Reconnect(testContext(t)))
	publish(t, client, "t", "x", mqtt.AtLeastOnce)
	require.Equal(t, 3, valid)
}

func TestMosquittoBehindAWebSocketGateway(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var d net.Dialer
	Gateway(t, l, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", server.Addr())
	})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, "ws://"+l.Addr().String()+"/mqtt", mqtt.Config{Version: v})
		sub := subscribeTo(t, client, "ws", mqtt.ExactlyOnce)
		large := string(make([]byte, 5<<20))
		for _, payload := range []string{"small", large, ""} {
			publish(t, client, "ws", payload, mqtt.ExactlyOnce)
			wantPayloads(t, sub, payload)
		}
		require.NoError(t, client.Disconnect(testContext(t)))
	})
}

func TestMosquittoOverTLSOnAUnixSocket(t *testing.T) {
	server := startServer(t, mosquitto.Options{TLS: true})
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	relayed := Begin(func() error {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		back, err := net.Dial("tcp", server.TLSAddr())
		if err != nil {
			return err
		}
		Relay(nc, back)
		return nil
	})
	conf := server.ClientTLS()
	conf.ServerName = "localhost"
	client := connectTo(t, "mqtts+unix://"+path, mqtt.Config{TLS: conf})
	publish(t, client, "t", "x", mqtt.ExactlyOnce)
	require.NoError(t, client.Close())
	require.NoError(t, relayed.Wait())
}
