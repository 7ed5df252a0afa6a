package guides_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func worker(ctx context.Context, client *mqtt.Client, work func(context.Context, *mqtt.Message) error) error {
	// <shared>
	filter := mqtt.Filter{Filter: "$share/workers/jobs/#", QoS: mqtt.AtLeastOnce}
	o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{filter}, Concurrency: 4}
	err := client.Handle(ctx, o, work)
	// </shared>
	return err
}

func TestSharedWorkers(t *testing.T) {
	b := newBroker(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan string, 2)
	ended := make(chan error, 2)
	for i := range 2 {
		client, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{ClientID: fmt.Sprintf("worker-%d", i)})
		require.NoError(t, err)
		defer client.Close()
		go func() {
			ended <- worker(ctx, client, func(_ context.Context, msg *mqtt.Message) error {
				done <- string(msg.Payload)
				return nil
			})
		}()
		b.WantSubscribed("$share/workers/jobs/#", fmt.Sprintf("worker-%d", i))
	}
	for _, job := range []string{"a", "b"} {
		b.Publish(&wire.Publish{Topic: "jobs/1", Payload: []byte(job), QoS: wire.AtLeastOnce})
	}
	require.ElementsMatch(t, []string{"a", "b"}, []string{<-done, <-done})
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.ErrorIs(t, <-ended, context.Canceled)
}

// <end>
func stopWorker(ctx context.Context, client *mqtt.Client, sub *mqtt.Subscription) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := sub.Drain(ctx); err != nil { // from here on the other workers get the messages
		return err
	}
	return client.Disconnect(ctx)
}

// </end>

func TestStopWorker(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	sub, err := client.Subscribe(t.Context(), "$share/workers/jobs/#", mqtt.AtLeastOnce)
	require.NoError(t, err)
	require.NoError(t, stopWorker(t.Context(), client, sub))
	b.WantNoLeak()
}

// <partition>
func partitionOf(key string, partitions uint32) string {
	h := fnv.New32a()
	h.Write([]byte(key))
	return strconv.Itoa(int(h.Sum32() % partitions))
}

func job(key string, payload []byte) *mqtt.Message {
	return &mqtt.Message{Topic: "jobs/" + partitionOf(key, 16) + "/" + key, Payload: payload, QoS: mqtt.AtLeastOnce}
}

// </partition>

func partitionWorker(ctx context.Context, servers []string, partition string, work func(context.Context, *mqtt.Message) error) error {
	// <takeover>
	client, err := mqtt.Connect(ctx, servers[0], mqtt.Config{
		ClientID: "worker-" + partition, // the session belongs to the partition
		Resume:   true, SessionExpiry: 24 * time.Hour,
		Servers: servers[1:], SharedSessions: true, // the nodes of one cluster
		RetryFirst: true,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	filter := mqtt.Filter{Filter: "jobs/" + partition + "/+", QoS: mqtt.AtLeastOnce}
	// The default of OrderBy is the topic, which is the key here.
	return client.Handle(ctx, mqtt.SubscribeOptions{Filters: []mqtt.Filter{filter}, Concurrency: 8}, work)
	// </takeover>
}

func TestPartitions(t *testing.T) {
	b := newBroker(t)
	publisher, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer publisher.Close()
	partition := partitionOf("customer-7", 16)
	done, broken := make(chan string), errors.New("the worker breaks down")
	work := func(ctx context.Context, msg *mqtt.Message) error {
		select {
		case done <- string(msg.Payload):
			return nil
		case <-ctx.Done():
			return broken
		}
	}
	for round := range 3 { // one worker after the other
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- partitionWorker(ctx, []string{b.URL()}, partition, work) }()
		if round == 0 {
			b.WantSubscribed("jobs/"+partition+"/+", "worker-"+partition)
			for i := range 3 {
				require.NoError(t, publisher.PublishMessage(t.Context(), job("customer-7", []byte(strconv.Itoa(i)))))
			}
		}
		for payload := range done {
			if payload == strconv.Itoa(round) { // what was done may come again
				break
			}
		}
		stop()
		require.Error(t, <-ended)
	}
}

func servers(ctx context.Context, url1, url2, url3 string) (*mqtt.Client, error) {
	// <servers>
	client, err := mqtt.Connect(ctx, url1, mqtt.Config{
		ClientID:    "gateway-3",
		Servers:     []string{url2, url3},
		ServerOrder: mqtt.RandomServer,
	})
	// </servers>
	return client, err
}

func TestServers(t *testing.T) {
	b := newBroker(t)
	dead := "mqtt://127.0.0.1:1" // a port that nobody listens on
	client, err := servers(t.Context(), dead, b.URL(), dead)
	require.NoError(t, err)
	require.NoError(t, client.Close())
}

func fromList(ctx context.Context, current func() []string) (*mqtt.Client, error) {
	// <list>
	client, err := mqtt.Connect(ctx, current()[0], mqtt.Config{
		ClientID: "gateway-3",
		Attempt: func(_ context.Context, a *mqtt.Attempt) error {
			servers := current()
			a.Server = servers[(a.Number-1)%len(servers)]
			return nil
		},
		RetryFirst: true,
	})
	// </list>
	return client, err
}

func TestListThatChanges(t *testing.T) {
	b, other := newBroker(t), newBroker(t)
	list := []string{"mqtt://127.0.0.1:1", b.URL()} // the first is a port that nobody listens on
	var mu sync.Mutex
	client, err := fromList(t.Context(), func() []string {
		mu.Lock()
		defer mu.Unlock()
		return list
	})
	require.NoError(t, err)
	defer client.Close()
	b.WantConnected("gateway-3")
	mu.Lock()
	list = []string{other.URL()}
	mu.Unlock()
	require.NoError(t, client.Reconnect(t.Context()))
	other.WantConnected("gateway-3")
}

// <everywhere>
func everywhere(ctx context.Context, clients []*mqtt.Client, m *mqtt.Message) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, client := range clients {
		g.Go(func() error { return client.PublishMessage(ctx, m) })
	}
	return g.Wait()
}

// </everywhere>

// <spread>
var seed = maphash.MakeSeed()

func clientFor(topic string, clients []*mqtt.Client) *mqtt.Client {
	return clients[maphash.String(seed, topic)%uint64(len(clients))]
}

// </spread>

func TestSeveralClients(t *testing.T) {
	brokers := []*mqtttest.Broker{newBroker(t), newBroker(t)}
	var clients []*mqtt.Client
	for _, b := range brokers {
		client, err := connect(t.Context(), b.URL())
		require.NoError(t, err)
		defer client.Close()
		clients = append(clients, client)
	}
	require.NoError(t, everywhere(t.Context(), clients, &mqtt.Message{Topic: "t", Payload: []byte("x"), QoS: mqtt.AtLeastOnce}))
	for _, b := range brokers {
		b.WantPublished("t", "x")
	}
	require.Same(t, clientFor("t", clients), clientFor("t", clients))
}

func many(ctx context.Context, server string, n int) (clients []*mqtt.Client, err error) {
	// <many>
	for i := range n {
		client, err := mqtt.Start(server, mqtt.Config{
			ClientID:      fmt.Sprintf("device-%d", i),
			KeepAlive:     5 * time.Minute,
			QueueMessages: 100,
			QueueBytes:    64 << 10,
			Reconnect:     reconnect.Policy{Max: 5 * time.Minute},
		})
		if err != nil {
			return clients, err
		}
		clients = append(clients, client)
	}
	// </many>
	for _, client := range clients {
		if err := client.WaitConnected(ctx); err != nil {
			return clients, err
		}
	}
	return clients, nil
}

func TestMany(t *testing.T) {
	b := newBroker(t)
	clients, err := many(t.Context(), b.URL(), 20)
	require.NoError(t, err)
	for _, client := range clients {
		require.NoError(t, client.Close())
	}
	b.WantNoLeak()
}
