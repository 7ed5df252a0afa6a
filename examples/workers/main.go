// Command workers does jobs, eight at a time, those of one customer one after the other.
//
//	go run ./examples/workers -server mqtt://localhost:1883 -n 0
//
// It takes jobs from jobs/{customer}/{job} and publishes done/{customer}/{job}. A job is
// acknowledged when it is done. MQTT wants acknowledgements in the order in which messages
// came; the library keeps that order, although the jobs end in any. So a worker that is
// killed gets all jobs again that it has not finished, and perhaps some that it has.
//
// Without -server it brings its own broker. With -n it publishes that many jobs itself and
// ends when they are done.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/examples/internal/demo"
	"github.com/seed65a45251/mqtt/match"
)

var (
	jobTopic  = match.MustParsePattern("jobs/{customer}/{job}")
	doneTopic = match.MustParsePattern("done/{customer}/{job}")
)

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	count := flag.Int("n", 40, "how many jobs to publish and to do; 0: none, and no end")
	flag.Parse()
	demo.Main(func(ctx context.Context) error { return run(ctx, os.Stdout, *server, *count) })
}

// worker does jobs.
type worker struct {
	client *mqtt.Client
	out    io.Writer

	mu         sync.Mutex
	left       int // jobs before the end
	busy, most int // jobs under way, now and at most
}

var errAllDone = errors.New("all jobs are done")

func run(ctx context.Context, out io.Writer, server string, count int) error {
	server, stop, err := demo.Server(server)
	if err != nil {
		return err
	}
	defer stop()
	// The server keeps the session, and in it the jobs that come while no worker is there.
	client, err := mqtt.Connect(ctx, server, mqtt.Config{ClientID: "workers", Resume: true, SessionExpiry: time.Hour})
	if err != nil {
		return err
	}
	defer client.Close()
	w := &worker{client: client, out: out, left: count}
	working, finish := context.WithCancelCause(ctx)
	defer finish(nil)
	published := make(chan error, 1)
	jobs := mqtt.SubscribeOptions{
		Filters:     []mqtt.Filter{{Filter: jobTopic.Filter(), QoS: mqtt.AtLeastOnce}},
		Concurrency: 8,
		OrderBy:     customer,
		Subscribed:  func(*mqtt.Subscription) { go func() { published <- publish(ctx, client, count) }() },
	}
	err = client.Handle(working, jobs, func(ctx context.Context, job *mqtt.Message) error {
		if err := w.do(ctx, job); err != nil {
			return err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.left--; w.left == 0 {
			finish(errAllDone) // Handle ends, and this job is acknowledged all the same
		}
		return nil
	})
	if !errors.Is(err, errAllDone) {
		return err
	}
	fmt.Fprintf(out, "up to %d jobs at a time\n", w.most)
	return errors.Join(<-published, client.Disconnect(ctx))
}

// customer is by what jobs are kept in order.
func customer(job *mqtt.Message) string {
	topic, _ := jobTopic.Match(job.Topic)
	return topic.Get("customer")
}

// do does a job and publishes that.
func (w *worker) do(ctx context.Context, job *mqtt.Message) error {
	w.mu.Lock()
	w.busy++
	w.most = max(w.most, w.busy)
	w.mu.Unlock()
	topic, _ := jobTopic.Match(job.Topic)
	if topic.Get("customer") == "slow" {
		time.Sleep(20 * time.Millisecond) // hard work, which holds up only its own customer
	}
	done, err := doneTopic.Topic(topic.List()...)
	if err == nil {
		err = w.client.Publish(ctx, done, nil, mqtt.AtLeastOnce)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy--
	if err == nil {
		fmt.Fprintln(w.out, done)
	}
	return err
}

// publish publishes jobs of four customers.
func publish(ctx context.Context, client *mqtt.Client, count int) error {
	for i := range count {
		topic, err := jobTopic.Topic([]string{"slow", "a", "b", "c"}[i%4], fmt.Sprint(i/4))
		if err != nil {
			return err
		}
		if _, err := client.PublishAsync(ctx, &mqtt.Message{Topic: topic, QoS: mqtt.AtLeastOnce}); err != nil {
			return err
		}
	}
	return client.Flush(ctx)
}
