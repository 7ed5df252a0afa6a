package cluster

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

const (
	partitions = 3
	publishers = 2 // at each QoS, each with a key in each partition
)

// load is publishers and workers on a cluster. They stay through all that happens to it.
type load struct {
	t       *testing.T
	ledger  *ledger
	workers map[string]*endpoint
	senders map[string]*endpoint

	publishing sync.WaitGroup
	stop       chan struct{} // ends the publishers
	working    *errgroup.Group
	end        context.CancelFunc
}

// endpoint is one client and its wire.
type endpoint struct {
	client *mqtt.Client
	tap    *wiretap
}

// loadOptions say how publishers and workers go about it.
type loadOptions struct {
	shared bool    // Config.SharedSessions
	window int     // messages of a key that may be on their way at the same time; at least 1
	rate   float64 // messages that one publisher publishes in a second; 0: 30
}

func (c *cluster) connect(id string, first int, o loadOptions) *endpoint {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	urls := c.urls(first)
	tap := new(wiretap)
	client, err := mqtt.Connect(ctx, urls[0], mqtt.Config{
		ClientID: id, Resume: true, Servers: urls[1:], SharedSessions: o.shared, RetryFirst: true,
		KeepAlive: 5 * time.Second, Reconnect: reconnect.Policy{Max: time.Second}, Dial: tap.dial,
		PublishRate: mqtt.PublishRate{Messages: cmp.Or(o.rate, 30)},
	})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { client.Close() })
	return &endpoint{client, tap}
}

// startLoad starts a worker for each partition, and then publishers.
func (c *cluster) startLoad(o loadOptions) *load {
	l := &load{
		t: c.t, ledger: newLedger(), workers: map[string]*endpoint{}, senders: map[string]*endpoint{}, stop: make(chan struct{}),
	}
	ctx, end := context.WithCancel(context.WithoutCancel(c.t.Context()))
	l.working, l.end = new(errgroup.Group), end
	for p := range partitions {
		name := "worker-" + strconv.Itoa(p)
		l.workers[name] = c.connect(name, p, o)
		subscribed := make(chan struct{})
		l.working.Go(func() error { return l.work(ctx, name, strconv.Itoa(p), subscribed) })
		<-subscribed
	}
	for qos := mqtt.AtLeastOnce; qos <= mqtt.ExactlyOnce; qos++ {
		for i := range publishers {
			name := "publisher-" + strconv.Itoa(int(qos)) + "-" + strconv.Itoa(i)
			e := c.connect(name, i, o)
			l.senders[name] = e
			for p := range partitions {
				topic, err := jobTopic.Topic(strconv.Itoa(p), name)
				require.NoError(c.t, err)
				l.publishing.Go(func() { l.publish(e.client, topic, qos, o.window) })
			}
		}
	}
	return l
}

// work is a worker of one partition.
func (l *load) work(ctx context.Context, name, partition string, subscribed chan struct{}) error {
	var once sync.Once
	o := mqtt.SubscribeOptions{
		Filters:    []mqtt.Filter{{Filter: "jobs/" + partition + "/+", QoS: mqtt.ExactlyOnce}},
		Subscribed: func(*mqtt.Subscription) { once.Do(func() { close(subscribed) }) },
	}
	return l.workers[name].client.Handle(ctx, o, func(_ context.Context, msg *mqtt.Message) error {
		l.ledger.receive(name, msg)
		return nil
	})
}

// publish publishes the messages of a key until it is told to stop, and then waits for the
// answers to all of them.
func (l *load) publish(client *mqtt.Client, topic string, qos mqtt.QoS, window int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.t.Context()), 10*patience)
	defer cancel()
	open := make(chan struct{}, window)
	var answers sync.WaitGroup
	defer answers.Wait()
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		case open <- struct{}{}:
		}
		m := &mqtt.Message{Topic: topic, Payload: []byte(strconv.Itoa(n)), QoS: qos}
		delivery, err := client.PublishAsync(ctx, m)
		if err != nil {
			l.t.Errorf("%s #%d: %v", topic, n, err)
			return
		}
		answers.Go(func() {
			if _, err := delivery.Wait(ctx); err != nil {
				l.t.Errorf("%s #%d: %v", topic, n, err)
				return
			}
			l.ledger.accept(message{topic, n})
			<-open
		})
	}
}

// wait waits until done returns true. It is called with the ledger locked.
func (l *load) wait(what string, done func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	for {
		l.ledger.mu.Lock()
		ok, changed := done(), l.ledger.changed
		l.ledger.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			var text strings.Builder
			for _, m := range l.ledger.missing()[:min(3, len(l.ledger.missing()))] {
				text.WriteString(l.trace(m))
			}
			require.FailNow(l.t, "waited in vain", "%s; missing: %s", what, text.String())
		}
	}
}

// wantProgress waits until every key has moved on by n messages, from the publisher to the
// worker.
func (l *load) wantProgress(n int, when string) {
	l.t.Helper()
	start, target := time.Now(), map[string]int{}
	l.ledger.mu.Lock()
	for name := range l.senders {
		for p := range partitions {
			topic, err := jobTopic.Topic(strconv.Itoa(p), name)
			require.NoError(l.t, err)
			target[topic] = len(l.ledger.order[topic]) + n
		}
	}
	l.ledger.mu.Unlock()
	l.wait(when, func() bool {
		for key, want := range target {
			if len(l.ledger.order[key]) < want {
				return false
			}
		}
		return true
	})
	l.t.Logf("%s: %d messages of each key in %.1f s", when, n, time.Since(start).Seconds())
}

// finish ends the publishers, waits until the workers have all that was accepted, except for
// what the cluster has lost, and ends them. It checks what the client answers for: its wire
// carries what was published, and its queue hands over what the wire brings, in order.
func (l *load) finish() figures {
	l.t.Helper()
	close(l.stop)
	l.publishing.Wait()
	l.wait("all that was accepted", func() bool {
		return !slices.ContainsFunc(l.ledger.missing(), func(m message) bool { return !l.lostByCluster(m) })
	})
	l.end()
	require.ErrorIs(l.t, l.working.Wait(), context.Canceled)
	for name, e := range l.senders {
		requireInOrder(l.t, name, firsts(e.tap.messages(wire.FromClient)))
	}
	for name, e := range l.workers {
		brought, handed := firsts(e.tap.messages(wire.FromServer)), firsts(l.ledger.byWorker[name])
		// What comes after the end stays with the server.
		require.Equal(l.t, brought[:min(len(brought), len(handed))], handed, "%s: the wire, and what was handed over", name)
	}
	return l.ledger.figures()
}

// lostByCluster reports whether the cluster has owned the message, and was asked for it
// twice. NATS forgets it then: see the replay.
func (l *load) lostByCluster(m message) bool { return l.publisherOf(m).tap.releasedAgain(m) }

func (l *load) publisherOf(m message) *endpoint {
	topic, _ := jobTopic.Match(m.key)
	return l.senders[topic.Get("key")]
}

// firsts leaves out repeats.
func firsts(all []message) []message {
	seen := map[message]bool{}
	var first []message
	for _, m := range all {
		if !seen[m] {
			first = append(first, m)
		}
		seen[m] = true
	}
	return first
}

// requireInOrder checks that each key counts up by one.
func requireInOrder(t *testing.T, who string, all []message) {
	t.Helper()
	next := map[string]int{}
	for _, m := range all {
		require.Equal(t, next[m.key], m.number, "%s: %s", who, m.key)
		next[m.key]++
	}
}
