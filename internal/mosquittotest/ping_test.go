package mosquittotest

import (
	"crypto/tls"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestMosquittoAnswersPings(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connectTo(t, server.URL(), mqtt.Config{Version: v})
		ctx := testContext(t)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for range 20 {
					trip, err := client.Ping(ctx)
					if err != nil || trip <= 0 {
						t.Errorf("%v, %v", trip, err)
					}
				}
			})
		}
		all.Wait()
		publish(t, client, "t", "x", mqtt.AtLeastOnce)
		s := client.Stats()
		require.LessOrEqual(t, s.Ping.Count, uint64(200))
		require.GreaterOrEqual(t, s.Ping.Count, uint64(20))
		require.NotZero(t, s.Ping.Min)
		require.Equal(t, uint64(1), s.RoundTrips.Count)
		require.Equal(t, s.Ping.Count+2, s.PacketsSent, "CONNECT and PUBLISH")
		require.Equal(t, s.Ping.Count+2, s.PacketsReceived)
	})
}

func TestServerInfoKnowsTheConnectionToMosquitto(t *testing.T) {
	server := startServer(t, mosquitto.Options{TLS: true})
	begun := time.Now()
	client := connectTo(t, server.TLSURL(), mqtt.Config{TLS: server.ClientTLS()})
	info := client.ServerInfo()
	require.Equal(t, server.TLSURL(), info.Server)
	require.Equal(t, server.TLSAddr(), info.Address)
	require.WithinRange(t, info.Since, begun, time.Now())
	require.GreaterOrEqual(t, info.TLS.Version, uint16(tls.VersionTLS12))
	require.NotEmpty(t, info.TLS.PeerCertificates)
	require.NoError(t, client.Close())
	last := client.ServerInfo()
	require.Equal(t, info.TLS.PeerCertificates, last.TLS.PeerCertificates)
	info.TLS, last.TLS = nil, nil // have functions
	require.Equal(t, info, last, "what was")

	client = connectTo(t, server.URL(), mqtt.Config{})
	require.Nil(t, client.ServerInfo().TLS)
	require.Equal(t, server.URL(), client.ServerInfo().Server)
}
