package prommqtt_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/contrib/prommqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
)

// connected returns a client of b, and one of its figures.
func connected(t *testing.T, b *mqtttest.Broker) *mqtt.Client {
	t.Helper()
	client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// series returns how many clients and brokers have series.
func series(t *testing.T, c prometheus.Collector) (clients, brokers int) {
	t.Helper()
	return testutil.CollectAndCount(c, "mqtt_client_connections"), testutil.CollectAndCount(c, "mqtt_broker_connections")
}

func TestClientsAndBrokersComeAndGo(t *testing.T) {
	b := mqtttest.NewBroker(t)
	c := prommqtt.NewCollector()
	one, two := connected(t, b), connected(t, b)
	require.NoError(t, c.AddClient("one", one))
	require.NoError(t, c.AddClient("two", two))
	require.NoError(t, c.AddBroker("b", b))
	clients, brokers := series(t, c)
	require.Equal(t, []int{2, 1}, []int{clients, brokers})

	require.ErrorIs(t, c.AddClient("one", two), prommqtt.ErrNameTaken)
	require.ErrorIs(t, c.AddBroker("b", b), prommqtt.ErrNameTaken)

	require.NoError(t, one.Close())
	clients, _ = series(t, c)
	require.Equal(t, 1, clients, "one that has ended has no series")
	require.NoError(t, c.AddClient("one", connected(t, b)))
	require.NoError(t, two.Close())
	require.NoError(t, c.AddClient("two", connected(t, b)), "it has ended since the last scrape")
	clients, _ = series(t, c)
	require.Equal(t, 2, clients)

	c.RemoveClient("one")
	c.RemoveClient("nobody")
	c.RemoveBroker("b")
	c.RemoveBroker("nobody")
	clients, brokers = series(t, c)
	require.Equal(t, []int{1, 0}, []int{clients, brokers})
}

func TestNamesFollowTheConventions(t *testing.T) {
	b := mqtttest.NewBroker(t)
	c := prommqtt.NewCollector()
	client := connected(t, b)
	require.NoError(t, c.AddClient("c", client))
	require.NoError(t, c.AddBroker("b", b))
	require.NoError(t, client.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce))
	_, err := client.Ping(t.Context())
	require.NoError(t, err)
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
	n, err := testutil.GatherAndCount(reg, "mqtt_client_publish_duration_seconds", "mqtt_client_ping_duration_seconds")
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func TestClientsComeAndGoWhileFiguresAreRead(t *testing.T) {
	b := mqtttest.NewBroker(t)
	c := prommqtt.NewCollector()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() {
			for round := range 10 {
				client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{})
				if err == nil {
					name := fmt.Sprint(i)
					err = c.AddClient(name, client)
					if round%2 == 0 {
						c.RemoveClient(name)
					}
					client.Close()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	gone := make(chan struct{})
	go func() { workers.Wait(); close(gone) }()
	for over := false; !over; {
		select {
		case <-gone:
			over = true
		default:
		}
		_, err := reg.Gather()
		require.NoError(t, err)
	}
	clients, _ := series(t, c)
	require.Zero(t, clients)
}
