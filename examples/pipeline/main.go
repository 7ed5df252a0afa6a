// Command pipeline turns readings of sensors into means. Three stages, each a goroutine
// of one errgroup, are joined by channels: the first reads messages, the second computes,
// the third publishes. An error of one ends all, and so does Ctrl-C.
//
//	go run ./examples/pipeline -server mqtt://localhost:1883 -n 0
//
// It reads pipeline/{sensor}/reading and writes pipeline/{sensor}/mean. Without -server it
// brings its own broker, and with -n it publishes that many readings itself and ends when
// it has seen them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/examples/internal/demo"
	"github.com/seed65a45251/mqtt/match"
)

var (
	readingTopic = match.MustParsePattern("pipeline/{sensor}/reading")
	meanTopic    = match.MustParsePattern("pipeline/{sensor}/mean")
)

// value is what passes between the stages.
type value struct {
	sensor string
	number float64
}

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	count := flag.Int("n", 24, "how many readings to publish and to take; 0: none, and no end")
	flag.Parse()
	demo.Main(func(ctx context.Context) error { return run(ctx, os.Stdout, *server, *count) })
}

func run(ctx context.Context, out io.Writer, server string, count int) error {
	server, stop, err := demo.Server(server)
	if err != nil {
		return err
	}
	defer stop()
	client, err := mqtt.Connect(ctx, server, mqtt.Config{})
	if err != nil {
		return err
	}
	defer client.Close()
	sub, err := client.Subscribe(ctx, readingTopic.Filter(), mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	// The channels are small: a stage that is slow slows down those before it, and in the
	// end the server.
	readings, means := make(chan value), make(chan value)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(readings)
		return read(ctx, sub, count, readings)
	})
	group.Go(func() error {
		defer close(means)
		return average(ctx, readings, means)
	})
	group.Go(func() error { return publish(ctx, out, client, means) })
	if count > 0 {
		group.Go(func() error { return simulate(ctx, client, count) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return client.Disconnect(ctx)
}

// read is the first stage. All acknowledges a message when the body of the loop is done
// with it: when the next stage has taken it over, or the pipeline ends.
func read(ctx context.Context, sub *mqtt.Subscription, count int, readings chan<- value) error {
	taken := 0
	for msg, err := range sub.All(ctx) {
		if err != nil {
			return err
		}
		topic, _ := readingTopic.Match(msg.Topic)
		number, err := strconv.ParseFloat(string(msg.Payload), 64)
		if err != nil {
			continue // not a reading
		}
		select {
		case readings <- value{topic.Get("sensor"), number}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if taken++; taken == count {
			break
		}
	}
	return nil
}

// average is the second stage: a mean for each four readings of a sensor.
func average(ctx context.Context, readings <-chan value, means chan<- value) error {
	sums, counts := make(map[string]float64), make(map[string]int)
	for r := range readings {
		sums[r.sensor] += r.number
		if counts[r.sensor]++; counts[r.sensor]%4 > 0 {
			continue
		}
		select {
		case means <- value{r.sensor, sums[r.sensor] / 4}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		sums[r.sensor] = 0
	}
	return nil
}

// publish is the last stage. Publish returns when the server has the mean.
func publish(ctx context.Context, out io.Writer, client *mqtt.Client, means <-chan value) error {
	for m := range means {
		topic, err := meanTopic.Topic(m.sensor)
		if err != nil {
			return err
		}
		if err := client.Publish(ctx, topic, fmt.Append(nil, m.number), mqtt.AtLeastOnce); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s %.2f\n", topic, m.number)
	}
	return nil
}

// simulate publishes readings of two sensors.
func simulate(ctx context.Context, client *mqtt.Client, count int) error {
	for i := range count {
		topic, err := readingTopic.Topic([]string{"cellar", "roof"}[i%2])
		if err != nil {
			return err
		}
		if err := client.Publish(ctx, topic, fmt.Append(nil, i), mqtt.AtLeastOnce); err != nil {
			return err
		}
	}
	return nil
}
