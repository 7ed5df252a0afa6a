//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
)

// TestMain is the service where the test has started this binary as one.
func TestMain(m *testing.M) {
	if server := os.Getenv("GRACEFUL_SERVER"); server != "" {
		os.Args = []string{os.Args[0], "-server", server}
		main()
		return
	}
	os.Exit(m.Run())
}

// TestTheServiceLosesAndRepeatsNothing ends the service with SIGTERM again and again while
// jobs come, and counts results.
func TestTheServiceLosesAndRepeatsNothing(t *testing.T) {
	const restarts, each = 8, 100 // results of a process before it is ended
	ctx := t.Context()
	b := mqtttest.NewBroker(t)
	client, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{})
	require.NoError(t, err)
	defer client.Close()
	results, err := client.Subscribe(ctx, "results/+", mqtt.ExactlyOnce)
	require.NoError(t, err)

	process := service(t, b.URL())
	b.WantSubscribed("jobs/+")
	jobs := &publisher{room: make(chan struct{}, 200), enough: make(chan struct{})}
	published := make(chan error, 1)
	go func() { published <- jobs.run(ctx, client) }()
	seen := make(map[string]bool)
	next := func() (worker string) {
		m, err := results.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, m.Topic, "results/"+string(m.Payload))
		require.False(t, seen[m.Topic], "%s came twice", m.Topic)
		seen[m.Topic] = true
		<-jobs.room
		worker, _ = m.UserProperty("worker")
		return worker
	}
	work := func(results int) { // of the present process
		for results > 0 {
			if next() == fmt.Sprint(process.Process.Pid) {
				results--
			}
		}
	}
	for range restarts {
		work(each)
		require.NoError(t, process.Process.Signal(syscall.SIGTERM))
		require.NoError(t, process.Wait(), "it has left something")
		process = service(t, b.URL())
	}
	work(1) // so that it is there
	close(jobs.enough)
	require.NoError(t, <-published)
	for len(seen) < jobs.n {
		next()
	}
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, process.Wait())
	now, cancel := context.WithCancel(ctx)
	cancel()
	m, err := results.Next(now)
	require.ErrorIs(t, err, context.Canceled, "%v came twice", m)
}

// service starts the service as a process.
func service(t *testing.T, server string) *exec.Cmd {
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), "GRACEFUL_SERVER="+server)
	process.Stdout, process.Stderr = t.Output(), t.Output()
	require.NoError(t, process.Start())
	t.Cleanup(func() { process.Process.Kill() })
	return process
}

// publisher publishes jobs that are told apart by their topics.
type publisher struct {
	room   chan struct{} // a token for every job without a result
	enough chan struct{} // closed when there are to be no more
	n      int           // jobs
}

func (p *publisher) run(ctx context.Context, client *mqtt.Client) error {
	for {
		select {
		case <-p.enough:
			return client.Flush(ctx)
		case p.room <- struct{}{}:
		}
		p.n++
		name := fmt.Sprint(p.n)
		job := &mqtt.Message{Topic: "jobs/" + name, Payload: []byte(name), QoS: mqtt.ExactlyOnce}
		if _, err := client.PublishAsync(ctx, job); err != nil {
			return err
		}
	}
}
