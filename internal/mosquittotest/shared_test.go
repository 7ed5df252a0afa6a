package mosquittotest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

const jobsTotal = 1000

// jobCount is what workers of a group have handled.
type jobCount struct {
	mu      sync.Mutex
	handled map[string]string // the worker by job
	by      map[string]int    // calls by worker
	many    chan struct{}     // closed when the first worker has handled many
	all     chan struct{}     // closed when all are handled
}

func newJobCount() *jobCount {
	return &jobCount{handled: make(map[string]string), by: make(map[string]int),
		many: make(chan struct{}), all: make(chan struct{})}
}

func (j *jobCount) handler(worker string) func(context.Context, *mqtt.Message) error {
	return func(_ context.Context, m *mqtt.Message) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.by[worker]++
		if worker == "first" && j.by[worker] == jobsTotal/10 {
			close(j.many)
		}
		if j.handled[string(m.Payload)] == "" {
			j.handled[string(m.Payload)] = worker
			if len(j.handled) == jobsTotal {
				close(j.all)
			}
		}
		return nil
	}
}

// group is the Subscription of a worker.
var group = mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "$share/group/jobs", QoS: mqtt.AtLeastOnce}}}

// beginWorker begins a worker whose session the server keeps.
func beginWorker(ctx context.Context, t *testing.T, url string, v mqtt.Version, name string, jobs *jobCount) (*mqtt.Client, *mqtt.Subscription, *Call) {
	t.Helper()
	client := connectTo(t, url, keeping(v, name))
	sub, err := client.SubscribeWith(ctx, group)
	require.NoError(t, err)
	return client, sub, Begin(func() error { return sub.Handle(ctx, jobs.handler(name)) })
}

// Two workers whose sessions the server keeps share a thousand messages. The first
// ends in order in the middle. The other gets the rest, but for what the first had
// received and not handled: Mosquitto keeps that for it, and it gets it when it is
// back.
func TestMosquittoGivesTheRestToTheOtherWorkers(t *testing.T) {
	for name, end := range map[string]func(context.Context, *mqtt.Client, *mqtt.Subscription) error{
		"drain": func(ctx context.Context, client *mqtt.Client, sub *mqtt.Subscription) error {
			return errors.Join(sub.Drain(ctx), client.Disconnect(ctx))
		},
		"disconnect": func(ctx context.Context, client *mqtt.Client, _ *mqtt.Subscription) error {
			return client.Disconnect(ctx)
		},
		"close": func(_ context.Context, client *mqtt.Client, _ *mqtt.Subscription) error { return client.Close() },
	} {
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			t.Run(fmt.Sprint(name, " ", v), func(t *testing.T) {
				server := startServer(t, mosquitto.Options{MaxInflight: 20})
				ctx := testContext(t)
				jobs := newJobCount()
				first, sub, _ := beginWorker(ctx, t, server.URL(), v, "first", jobs)
				beginWorker(ctx, t, server.URL(), v, "second", jobs)
				publishing, goOn := publishJobs(ctx, t, server.URL(), v)
				<-jobs.many
				require.NoError(t, end(ctx, first, sub))
				close(goOn)
				nextProcess(ctx, t, server.URL(), v, jobs)
				jobs.wantAll(ctx, t)
				require.NoError(t, publishing.Wait())
			})
		}
	}
}

// The same with workers that are one call of Client.Handle each.
func TestMosquittoGivesTheRestToTheOtherHandlers(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		t.Run(v.String(), func(t *testing.T) {
			server := startServer(t, mosquitto.Options{MaxInflight: 20})
			ctx := testContext(t)
			jobs := newJobCount()
			first := connectTo(t, server.URL(), keeping(v, "first"))
			short, stop := context.WithCancel(ctx)
			defer stop()
			handling := Begin(func() error { return first.Handle(short, group, jobs.handler("first")) })
			beginWorker(ctx, t, server.URL(), v, "second", jobs)
			publishing, goOn := publishJobs(ctx, t, server.URL(), v)
			<-jobs.many
			stop()
			require.ErrorIs(t, handling.Wait(), context.Canceled)
			if err := first.Disconnect(ctx); err != nil { // what it gave up waits for others
				require.ErrorAs(t, err, new(*mqtt.UnfinishedError))
			}
			close(goOn)
			nextProcess(ctx, t, server.URL(), v, jobs)
			jobs.wantAll(ctx, t)
			require.NoError(t, publishing.Wait())
		})
	}
}

// nextProcess is the next process of the first worker, which asks for what the
// session holds and for no more.
func nextProcess(ctx context.Context, t *testing.T, url string, v mqtt.Version, jobs *jobCount) {
	t.Helper()
	client := connectTo(t, url, keeping(v, "first"))
	route, err := client.Route("jobs")
	require.NoError(t, err)
	Begin(func() error { return route.Handle(ctx, jobs.handler("first again")) })
}

// publishJobs publishes all jobs, the second half when the first worker
// has ended, which closes goOn.
func publishJobs(ctx context.Context, t *testing.T, url string, v mqtt.Version) (publishing *Call, goOn chan struct{}) {
	t.Helper()
	client := connectTo(t, url, mqtt.Config{Version: v})
	goOn = make(chan struct{})
	return Begin(func() error {
		for i := range jobsTotal {
			if i == jobsTotal/2 {
				<-goOn
			}
			m := &mqtt.Message{Topic: "jobs", Payload: fmt.Append(nil, i), QoS: mqtt.AtLeastOnce}
			if _, err := client.PublishAsync(ctx, m); err != nil {
				return err
			}
		}
		return client.Flush(ctx)
	}), goOn
}

// wantAll requires that all jobs are handled, the second half by the second worker.
func (j *jobCount) wantAll(ctx context.Context, t *testing.T) {
	t.Helper()
	select {
	case <-j.all:
	case <-ctx.Done():
		t.Errorf("%d of %d are handled", len(j.handled), jobsTotal)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	t.Logf("%v", j.by)
	for i := jobsTotal / 2; i < jobsTotal; i++ {
		require.Equal(t, "second", j.handled[fmt.Sprint(i)], "job %d", i)
	}
}
