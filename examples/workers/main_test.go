package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/examples/internal/demo"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// output is what programs print. It can be read while they run.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// done returns the jobs that were done, without those that were done again.
func (o *output) done() (jobs []string) {
	known := map[string]bool{}
	for _, line := range o.lines("done/") {
		if !known[line] {
			jobs = append(jobs, line)
		}
		known[line] = true
	}
	return jobs
}

func (o *output) lines(beginning string) (found []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for line := range strings.Lines(o.text.String()) {
		if strings.HasPrefix(line, beginning) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// want waits for so many of what lines returns.
func (o *output) want(t *testing.T, n int, lines func() []string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(lines()) >= n }, time.Minute, time.Millisecond)
}

// onServers runs a test on the embedded broker and on Mosquitto.
func onServers(t *testing.T, test func(t *testing.T, server string)) {
	embedded, stop, err := demo.Server("")
	require.NoError(t, err)
	t.Cleanup(stop)
	for name, server := range map[string]string{"embedded": embedded, "Mosquitto": mosquitto.Start(t, mosquitto.Options{}).URL()} {
		t.Run(name, func(t *testing.T) { test(t, server) })
	}
}

// requireInOrder checks that each customer has its jobs done, count in all, in order if
// ordered is set.
func requireInOrder(t *testing.T, jobs []string, count int, ordered bool) {
	t.Helper()
	next := make(map[string]int)
	for _, job := range jobs {
		topic, ok := doneTopic.Match(job)
		require.True(t, ok, job)
		customer := topic.Get("customer")
		if ordered {
			require.Equal(t, fmt.Sprint(next[customer]), topic.Get("job"), job)
		}
		next[customer]++
	}
	require.Equal(t, map[string]int{"slow": count / 4, "a": count / 4, "b": count / 4, "c": count / 4}, next)
}

func TestWorkersKeepTheOrderOfEachCustomer(t *testing.T) {
	onServers(t, func(t *testing.T, server string) {
		var out output
		require.NoError(t, run(t.Context(), &out, options{servers: []string{server}, count: 40, partitions: 3, partition: -1}))
		requireInOrder(t, out.done(), 40, true)
		most := 0
		_, err := fmt.Sscanf(out.lines("up")[0], "up to %d jobs at a time", &most)
		require.NoError(t, err)
		require.LessOrEqual(t, most, 4, "there are four customers")
	})
}

func TestItBringsItsOwnBroker(t *testing.T) {
	var out output
	require.NoError(t, run(t.Context(), &out, options{servers: []string{""}, count: 8, partitions: 4, partition: -1}))
	requireInOrder(t, out.done(), 8, true)
}

func TestAGroupDoesEachJobOnce(t *testing.T) {
	onServers(t, func(t *testing.T, server string) {
		var out output
		require.NoError(t, run(t.Context(), &out, options{servers: []string{server}, count: 40, partitions: 3, group: "g"}))
		requireInOrder(t, out.done(), 40, false)
	})
}

// Jobs of a partition wait while no worker is there, and go to the next one.
func TestTheNextWorkerOfAPartitionGoesOn(t *testing.T) {
	onServers(t, func(t *testing.T, server string) {
		var out output
		o := options{servers: []string{server}, partitions: 2}
		for round := range 3 {
			ctx, end := context.WithCancel(t.Context())
			ended := make(chan error, 2)
			for p := range 2 {
				worker := o
				worker.partition = p
				go func() { ended <- run(ctx, &out, worker) }()
			}
			out.want(t, 2*(round+1), func() []string { return out.lines("takes") })
			if round == 0 {
				publisher := o
				publisher.count, publisher.publishOnly = 200, true
				require.NoError(t, run(t.Context(), &out, publisher))
			}
			out.want(t, []int{20, 60, 200}[round], out.done)
			end()
			require.ErrorIs(t, <-ended, context.Canceled)
			require.ErrorIs(t, <-ended, context.Canceled)
		}
		requireInOrder(t, out.done(), 200, true)
	})
}
