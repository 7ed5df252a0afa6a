// Command rpc is a service that answers requests, and a client of it.
//
//	go run ./examples/rpc                                          # both, on an embedded broker
//	go run ./examples/rpc -server mqtt://localhost:1883 -serve     # the service alone, until Ctrl-C
//
// The service answers on calc/{operation}. A client needs no topic for responses and no
// identifiers: Request has them. Errors travel, and so does the deadline of the context.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/examples/internal/demo"
	"github.com/seed65a45251/mqtt/match"
)

var calls = match.MustParsePattern("calc/{operation}")

func main() {
	server := flag.String("server", "", "URL of an MQTT server; empty: an embedded broker")
	only := flag.Bool("serve", false, "only serve, until a signal")
	flag.Parse()
	demo.Main(func(ctx context.Context) error { return run(ctx, os.Stdout, *server, *only) })
}

func run(ctx context.Context, out io.Writer, server string, only bool) error {
	server, stop, err := demo.Server(server)
	if err != nil {
		return err
	}
	defer stop()
	began, ended := make(chan struct{}), make(chan error, 1)
	serving, end := context.WithCancel(ctx)
	defer end()
	go func() { ended <- serve(serving, server, func(*mqtt.Subscription) { close(began) }) }()
	select {
	case <-began: // otherwise a request might find nobody
	case err := <-ended:
		return err
	}
	if only {
		return <-ended
	}
	if err := ask(ctx, out, server); err != nil {
		return err
	}
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serve answers until ctx ends, and then those that have come.
func serve(ctx context.Context, server string, began func(*mqtt.Subscription)) error {
	client, err := mqtt.Connect(ctx, server, mqtt.Config{})
	if err != nil {
		return err
	}
	defer client.Close()
	// Any number of processes may serve: the server gives each request to one of them.
	return client.RespondWith(ctx, mqtt.RespondOptions{
		SubscribeOptions: mqtt.SubscribeOptions{
			Filters:    []mqtt.Filter{{Filter: "$share/calculators/" + calls.Filter(), QoS: mqtt.AtLeastOnce}},
			Subscribed: began,
		},
		Concurrency: 8,
	}, answer)
}

// answer is called for each request. ctx ends when nobody waits for the answer any more.
func answer(ctx context.Context, request *mqtt.Message) (*mqtt.Message, error) {
	topic, _ := calls.Match(request.Topic)
	x, err := strconv.ParseFloat(string(request.Payload), 64)
	if err != nil {
		return nil, errors.New("not a number")
	}
	switch topic.Get("operation") {
	case "sqrt":
		return &mqtt.Message{Payload: fmt.Appendf(nil, "%.3f", math.Sqrt(x))}, nil
	case "factor": // takes longer than anybody waits
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return nil, errors.New("no such operation")
}

// ask shows what becomes of requests.
func ask(ctx context.Context, out io.Writer, server string) error {
	client, err := mqtt.Connect(ctx, server, mqtt.Config{})
	if err != nil {
		return err
	}
	defer client.Close()
	for _, call := range []struct{ operation, x string }{{"sqrt", "2"}, {"sqrt", "two"}, {"cbrt", "8"}, {"factor", "1e9"}} {
		topic, err := calls.Topic(call.operation)
		if err != nil {
			return err
		}
		limited, cancel := ctx, context.CancelFunc(func() {})
		if call.operation == "factor" {
			limited, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
		}
		response, err := client.Request(limited, &mqtt.Message{Topic: topic, Payload: []byte(call.x), QoS: mqtt.AtLeastOnce})
		cancel()
		failed, ok := errors.AsType[*mqtt.ResponseError](err)
		switch {
		case ok:
			fmt.Fprintf(out, "%s(%s): the service says: %s\n", call.operation, call.x, failed.Text)
		case errors.Is(err, context.DeadlineExceeded):
			fmt.Fprintf(out, "%s(%s): no answer in time\n", call.operation, call.x)
		case err != nil:
			return err
		default:
			fmt.Fprintf(out, "%s(%s) = %s\n", call.operation, call.x, response.Payload)
		}
	}
	return client.Disconnect(ctx)
}
