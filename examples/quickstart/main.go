// Quickstart does the main job of the library: it connects, subscribes, publishes
// readings at all three qualities of service, and streams what arrives through a small
// pipeline of Go channels. The connection breaks in the middle, and it goes on.
//
// Without flags it brings its own broker and restarts it half way:
//
//	go run ./examples/quickstart
//
// With -server it uses that server and cuts its own connection half way:
//
//	go run ./examples/quickstart -server mqtt://localhost:1883
//
// Ctrl-C ends it cleanly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
)

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	count := flag.Int("n", 300, "how many readings to publish")
	pace := flag.Duration("pace", 10*time.Millisecond, "time between readings")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, *server, *count, *pace); {
	case errors.Is(err, context.Canceled):
		fmt.Println("\ninterrupted; disconnected in order")
	case err != nil:
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server string, count int, pace time.Duration) error {
	link, err := newLink(ctx, server)
	if err != nil {
		return err
	}
	defer link.close()

	client, err := mqtt.Connect(ctx, link.url, mqtt.Config{Dial: link.dial})
	if err != nil {
		return err
	}
	defer client.Close()
	info := client.ServerInfo()
	fmt.Printf("connected to %s with MQTT %v as %s\n", link.name, info.Version, info.ClientID)
	// The channel closes with the client, which outlives ctx to send DISCONNECT.
	go watch(client.Watch(context.Background()))

	topic := "quickstart/" + info.ClientID
	sub, err := client.Subscribe(ctx, topic+"/+", mqtt.ExactlyOnce)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	summary := make(chan tally, 1)
	group.Go(func() error {
		return pipeline(groupCtx, sub, count, summary)
	})
	group.Go(func() error {
		return publish(groupCtx, client, topic, count, pace, func() { group.Go(link.breakConnection) })
	})
	if err := group.Wait(); err != nil {
		return errors.Join(err, disconnect(client))
	}
	if err := report(<-summary, count, client.Stats()); err != nil {
		return err
	}
	return disconnect(client)
}

// publish sends the readings, one at QoS 0, the next at 1, the next at 2, and so on. Half
// way it breaks the connection by calling sabotage.
func publish(ctx context.Context, client *mqtt.Client, topic string, count int, pace time.Duration, sabotage func()) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for i := range count {
		if i == count/2 {
			sabotage()
		}
		qos := mqtt.QoS(i % 3)
		payload := strconv.AppendInt(nil, int64(i), 10)
		// While the connection is broken, Publish waits.
		if err := client.Publish(ctx, fmt.Sprintf("%s/qos%d", topic, qos), payload, qos); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// reading is what the first stage of the pipeline makes of a message.
type reading struct {
	qos    mqtt.QoS
	number int
}

// tally is what the last stage counts.
type tally struct {
	distinct [3]int
	repeated [3]int
}

// pipeline parses what the Subscription brings and counts it, in two stages that are
// joined by a channel. It ends when every QoS 1 and 2 reading has arrived.
func pipeline(ctx context.Context, sub *mqtt.Subscription, count int, summary chan<- tally) error {
	readings := make(chan reading)
	group, ctx := errgroup.WithContext(ctx)
	ctx, finish := context.WithCancel(ctx)
	defer finish()
	group.Go(func() error {
		defer close(readings)
		return parse(ctx, sub, readings)
	})
	group.Go(func() error {
		defer finish()
		var t tally
		seen := make(map[int]bool)
		for r := range readings {
			if seen[r.number] {
				t.repeated[r.qos]++
				continue
			}
			seen[r.number] = true
			t.distinct[r.qos]++
			if len(seen)%20 == 0 {
				fmt.Printf("received %d of %d\n", len(seen), count)
			}
			if t.distinct[1] == expected(count, 1) && t.distinct[2] == expected(count, 2) {
				summary <- t
				return nil
			}
		}
		return ctx.Err()
	})
	return group.Wait()
}

func parse(ctx context.Context, sub *mqtt.Subscription, readings chan<- reading) error {
	for msg := range sub.Stream(ctx) {
		number, err := strconv.Atoi(string(msg.Payload))
		if err != nil {
			return fmt.Errorf("reading on %s: %w", msg.Topic, err)
		}
		qos, _ := strconv.Atoi(msg.Topic[strings.LastIndexByte(msg.Topic, 's')+1:])
		select {
		case readings <- reading{mqtt.QoS(qos), number}:
		case <-ctx.Done():
		}
	}
	return sub.Err()
}

// expected is how many of count readings have the quality of service.
func expected(count, qos int) int { return (count + 2 - qos) / 3 }

func report(t tally, count int, s mqtt.Stats) error {
	fmt.Println()
	for qos, level := range []string{"at most once", "at least once", "exactly once"} {
		fmt.Printf("QoS %d, %-13s  sent %3d  received %3d  repeated %d\n",
			qos, level, expected(count, qos), t.distinct[qos], t.repeated[qos])
	}
	fmt.Printf("connections: %d\n", s.Connections)
	if t.repeated[2] > 0 {
		return fmt.Errorf("%d QoS 2 readings came twice", t.repeated[2])
	}
	return nil
}

// watch prints what happens to the connection.
func watch(events <-chan mqtt.Event) {
	for e := range events {
		switch e.State {
		case mqtt.Reconnecting:
			what := "connection lost"
			if e.Attempt > 1 {
				what = "no success"
			}
			fmt.Printf("  %s (%v); attempt %d in %v\n", what, e.Err, e.Attempt, e.Delay.Round(time.Millisecond))
		case mqtt.Connected:
			fmt.Println("  connected again;", [...]string{"session new", "session resumed", "session lost"}[e.Session])
		}
	}
}

// disconnect ends the client in order, also after Ctrl-C.
func disconnect(client *mqtt.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err := client.Disconnect(ctx)
	if errors.Is(err, mqtt.ErrConnectionLost) {
		fmt.Println("lost with the connection, as QoS 0 may be:", err)
		return nil
	}
	return err
}
