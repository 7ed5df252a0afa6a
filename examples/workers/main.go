// Command workers divides jobs among workers, and keeps those of one customer in order.
//
//	go run ./examples/workers -server mqtt://localhost:1883 -n 0 -partition 2
//
// A job is published to jobs/{partition}/{customer}/{job}; the partition follows from the
// customer. Each worker has one partition, so that all jobs of a customer come to the same
// worker, which does several at a time, but those of one customer one after the other. It
// acknowledges a job when it is done and done/{partition}/{customer}/{job} is published.
//
// The session of a partition belongs to whoever connects with its client identifier. When
// the process of a worker dies, start another one with the same -partition, on any machine:
// it gets all jobs that are not finished, and perhaps some that are. With several servers
// (-server URL,URL,…), publishers and workers move to the next one when theirs fails.
//
// With -group the server divides the jobs itself, where it has shared subscriptions. Then
// workers come and go as they like, but jobs of one customer come to several of them, in no
// order.
//
// Without -server it brings its own broker. By default one process has all partitions,
// publishes -n jobs, and ends when they are done.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/examples/internal/demo"
	"github.com/seed65a45251/mqtt/match"
)

var (
	jobTopic  = match.MustParsePattern("jobs/{partition}/{customer}/{job}")
	doneTopic = match.MustParsePattern("done/{partition}/{customer}/{job}")
)

func main() {
	var o options
	servers := flag.String("server", "", "URLs of an MQTT server, or of the nodes of a cluster, with commas between; empty: an embedded broker")
	flag.BoolVar(&o.sharedSessions, "shared-sessions", false, "the servers have the same sessions")
	flag.IntVar(&o.count, "n", 40, "how many jobs to publish and to do; 0: none, and no end")
	flag.BoolVar(&o.publishOnly, "publish-only", false, "publish the jobs and do none")
	flag.IntVar(&o.partitions, "partitions", 4, "how many partitions there are")
	flag.IntVar(&o.partition, "partition", -1, "the partition of this worker, from 0; -1: all")
	flag.StringVar(&o.group, "group", "", "let the server divide the jobs among the workers of this group, instead of partitions")
	flag.Parse()
	o.servers = strings.Split(*servers, ",")
	demo.Main(func(ctx context.Context) error { return run(ctx, os.Stdout, o) })
}

type options struct {
	servers               []string
	sharedSessions        bool
	count                 int
	publishOnly           bool
	partitions, partition int
	group                 string
}

// jobs are what this process has to do with jobs.
type jobs struct {
	options
	out io.Writer

	mu         sync.Mutex
	done       map[string]bool // topics: a job that was done twice counts once
	busy, most int             // jobs under way, now and at most
}

var errAllDone = errors.New("all jobs are done")

func run(ctx context.Context, out io.Writer, o options) error {
	if o.partitions < 1 || o.partition >= o.partitions {
		return fmt.Errorf("no partition %d among %d", o.partition, o.partitions)
	}
	server, stop, err := demo.Server(o.servers[0])
	if err != nil {
		return err
	}
	defer stop()
	o.servers = append([]string{server}, o.servers[1:]...)
	j := &jobs{options: o, out: out, done: map[string]bool{}}
	if o.publishOnly {
		return j.publish(ctx)
	}
	working, finish := context.WithCancelCause(ctx)
	defer finish(nil)
	g, working := errgroup.WithContext(working)
	for _, a := range j.assignments() {
		// What is published before the server knows a worker may be lost.
		subscribed := make(chan struct{})
		g.Go(func() error { return j.work(working, a, subscribed, finish) })
		select {
		case <-subscribed:
		case <-working.Done():
		}
	}
	g.Go(func() error { return j.publish(working) })
	if err := g.Wait(); !errors.Is(err, errAllDone) {
		return err
	}
	j.print(fmt.Sprintf("up to %d jobs at a time", j.most))
	return nil
}
