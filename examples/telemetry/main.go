// Command telemetry is a device that measures and loses no reading, although the network
// comes and goes and the power fails.
//
//	go run ./examples/telemetry -server mqtt://localhost:1883 -dir /var/lib/telemetry -n 0
//
// PublishAsync returns when a reading is in the Store, a file that survives a crash at any
// moment. The client sends it when there is a connection, in order. A later process with
// the same directory sends what this one has not.
//
// Without -server the program brings its own broker, and starts it late.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/examples/internal/demo"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/store/bolt"
)

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	dir := flag.String("dir", "", "where the Store is; empty: a temporary directory")
	count := flag.Int("n", 10, "how many readings to take; 0: no end")
	pace := flag.Duration("pace", 10*time.Millisecond, "time between readings")
	flag.Parse()
	demo.Main(func(ctx context.Context) error { return run(ctx, os.Stdout, *server, *dir, *count, *pace) })
}

func run(ctx context.Context, out io.Writer, server, dir string, count int, pace time.Duration) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "telemetry"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	outbox, err := bolt.Open(filepath.Join(dir, "outbox"), bolt.Config{})
	if err != nil {
		return err
	}
	defer outbox.Close()
	embedded := server == ""
	socket := filepath.Join(dir, "broker")
	if embedded {
		server = "unix://" + socket
	}

	// Start does not wait for a connection, and the device does not wait long for the next
	// attempt.
	client, err := mqtt.Start(server, mqtt.Config{ClientID: "telemetry", Store: outbox,
		Reconnect: reconnect.Policy{Max: time.Second}})
	if err != nil {
		return err
	}
	defer client.Close()
	earlier := 0
	for range client.Pending() {
		earlier++
	}
	fmt.Fprintf(out, "%d readings of an earlier process are in the Store\n", earlier)
	if err := measure(ctx, out, client, count, pace); err != nil {
		return errors.Join(err, leave(ctx, out, client))
	}
	if embedded {
		fmt.Fprintln(out, "there was no server all this time; here it is")
		b := broker.New(broker.Config{})
		defer b.Close()
		if _, err := b.Listen(context.WithoutCancel(ctx), "unix", socket); err != nil {
			return err
		}
	}
	if err := client.Flush(ctx); err != nil {
		return errors.Join(err, leave(ctx, out, client))
	}
	fmt.Fprintf(out, "%d readings delivered\n", client.Stats().Acknowledged)
	return leave(ctx, out, client)
}

// measure takes readings until there are enough, or ctx ends.
func measure(ctx context.Context, out io.Writer, client *mqtt.Client, count int, pace time.Duration) error {
	began := time.Now().UnixNano() // tells the readings of several processes apart
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; count == 0 || i < count; i++ {
		reading := fmt.Sprintf("%d-%d", began, i)
		_, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "telemetry/reading", Payload: []byte(reading), QoS: mqtt.AtLeastOnce})
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "kept", reading) // whatever happens now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// leave gives the server a moment for the rest.
func leave(ctx context.Context, out io.Writer, client *mqtt.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := client.Disconnect(ctx)
	if left, ok := errors.AsType[*mqtt.UnfinishedError](err); ok {
		fmt.Fprintf(out, "%d readings stay in the Store\n", left.Published)
		return nil
	}
	return err
}
