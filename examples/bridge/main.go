// Command bridge carries messages between two servers, in both directions.
//
//	go run ./examples/bridge -server mqtt://localhost:1883 -other mqtt://example.com -filter 'site/7/#'
//
// A message is acknowledged to the server that it comes from when the other one has it, so
// none gets lost, whatever breaks. It does not go round in circles: a server sends a
// client nothing that the client has published itself (NoLocal).
//
// A server that is not given is a broker of this program. Without -server and -other it
// shows a message in each direction, and ends. The command "mqtt bridge" of this library
// does much more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/examples/internal/demo"
)

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	other := flag.String("other", "", "URL of the other MQTT server; empty: another embedded broker")
	filter := flag.String("filter", "bridge/#", "what to carry")
	flag.Parse()
	demo.Main(func(ctx context.Context) error { return run(ctx, os.Stdout, *server, *other, *filter) })
}

var errShown = errors.New("that is all there is to see")

func run(ctx context.Context, out io.Writer, server, other, filter string) error {
	demonstrate := server == "" && other == ""
	server, stop, err := demo.Server(server)
	if err != nil {
		return err
	}
	defer stop()
	other, stopOther, err := demo.Server(other)
	if err != nil {
		return err
	}
	defer stopOther()

	here, err := connect(ctx, server)
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := connect(ctx, other)
	if err != nil {
		return err
	}
	defer there.Close()
	group, ctx := errgroup.WithContext(ctx)
	began := make(chan *mqtt.Subscription, 2)
	group.Go(func() error { return forward(ctx, here, there, filter, began) })
	group.Go(func() error { return forward(ctx, there, here, filter, began) })
	if demonstrate {
		group.Go(func() error {
			for range 2 {
				select {
				case <-began:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			if err := errors.Join(show(ctx, out, server, other, "hello"), show(ctx, out, other, server, "hello back")); err != nil {
				return err
			}
			return errShown
		})
	}
	if err := group.Wait(); !errors.Is(err, errShown) {
		return err
	}
	return nil
}

// connect makes a client whose session the server keeps, with the messages that come while
// the bridge is not there.
func connect(ctx context.Context, server string) (*mqtt.Client, error) {
	return mqtt.Connect(ctx, server, mqtt.Config{ClientID: "bridge", Resume: true, SessionExpiry: 24 * time.Hour,
		Version: mqtt.V5}) // which has NoLocal
}

// forward carries messages from one server to the other until ctx ends.
func forward(ctx context.Context, from, to *mqtt.Client, filter string, began chan<- *mqtt.Subscription) error {
	return from.Handle(ctx, mqtt.SubscribeOptions{
		Filters:    []mqtt.Filter{{Filter: filter, QoS: mqtt.ExactlyOnce, NoLocal: true, RetainAsPublished: true}},
		Subscribed: func(s *mqtt.Subscription) { began <- s },
	}, func(ctx context.Context, msg *mqtt.Message) error {
		// A message can be published as it came, with all its properties.
		err := to.PublishMessage(ctx, msg)
		if refused, ok := errors.AsType[*mqtt.ServerError](err); ok {
			return refused.ReasonCode // the sender's server learns that this message got no further
		}
		return err
	})
}

// show publishes to one server and receives from the other.
func show(ctx context.Context, out io.Writer, from, to, text string) error {
	receiver, err := mqtt.Connect(ctx, to, mqtt.Config{})
	if err != nil {
		return err
	}
	defer receiver.Close()
	sub, err := receiver.Subscribe(ctx, "bridge/#", mqtt.ExactlyOnce)
	if err != nil {
		return err
	}
	greeting := &mqtt.Message{Topic: "bridge/greeting", Payload: []byte(text), QoS: mqtt.ExactlyOnce}
	if err := mqtt.PublishOnce(ctx, from, mqtt.Config{}, greeting); err != nil {
		return err
	}
	msg, err := sub.Next(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s\n", msg.Topic, msg.Payload)
	return nil
}
