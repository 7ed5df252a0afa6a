// Command graceful is a service that ends on SIGTERM without losing or repeating a
// message. It takes jobs from the topics jobs/+ and publishes their results on
// results/+, both at QoS 2.
//
//	go run ./examples/graceful -server mqtt://localhost:1883
//
// Three things make its end clean. The signal does not cancel the work on a job. The
// client disconnects in order: Disconnect takes over no more jobs and waits for those that
// were taken over, with their results and acknowledgements. And the session stays with the
// server (Config.Resume), so that the next process gets what came meanwhile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed65a45251/mqtt"
)

func main() {
	server := flag.String("server", "mqtt://localhost:1883", "URL of the server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *server); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve works until ctx ends, and then finishes what it has begun.
func serve(ctx context.Context, server string) error {
	client, err := mqtt.Start(server, mqtt.Config{
		ClientID: "graceful", Resume: true, SessionExpiry: 24 * time.Hour, Logger: slog.Default(),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	working := context.WithoutCancel(ctx) // the end of ctx ends no job
	ended := make(chan error, 1)
	go func() {
		jobs := mqtt.SubscribeOptions{
			Filters: []mqtt.Filter{{Filter: "jobs/+", QoS: mqtt.ExactlyOnce}}, Concurrency: 4,
		}
		ended <- client.Handle(working, jobs, func(ctx context.Context, job *mqtt.Message) error {
			return work(ctx, client, job)
		})
	}()
	select {
	case <-ctx.Done():
	case err := <-ended: // the server has refused us, or a job has failed
		return err
	}
	// A supervisor kills us if we take too long, so the end has a limit.
	limited, cancel := context.WithTimeout(working, 10*time.Second)
	defer cancel()
	err = client.Disconnect(limited)
	if handled := <-ended; !errors.Is(handled, mqtt.ErrClosed) {
		err = errors.Join(err, handled)
	}
	if left, ok := errors.AsType[*mqtt.UnfinishedError](err); ok {
		fmt.Printf("%d jobs come again, %d results may be missing\n", left.Received, left.Published)
	}
	return err
}

// work does a job. It is acknowledged when work has returned: when the server has the
// result.
func work(ctx context.Context, client *mqtt.Client, job *mqtt.Message) error {
	time.Sleep(time.Millisecond) // hard work
	return client.PublishMessage(ctx, &mqtt.Message{
		Topic: "results/" + strings.TrimPrefix(job.Topic, "jobs/"), Payload: job.Payload, QoS: mqtt.ExactlyOnce,
		UserProperties: []mqtt.UserProperty{{Name: "worker", Value: fmt.Sprint(os.Getpid())}},
	})
}
