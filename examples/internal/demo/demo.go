// Package demo gives an example its server and its end, so that the example itself shows
// only what it is about.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed65a45251/mqtt/broker"
)

// Main runs an example until it is over or a signal ends its context.
func Main(run func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	interrupted := ctx.Err() != nil && errors.Is(err, context.Canceled)
	stop()
	if err != nil && !interrupted {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Server returns url or, if that is empty, the URL of a broker of this process, which
// stop ends.
func Server(url string) (server string, stop func(), err error) {
	if url != "" {
		return url, func() {}, nil
	}
	return Broker(broker.New(broker.Config{}), "127.0.0.1:0")
}

// Broker lets b listen at address and returns its URL. stop ends it.
func Broker(b *broker.Broker, address string) (server string, stop func(), err error) {
	listening, err := b.Listen(context.Background(), "tcp", address)
	if err != nil {
		return "", nil, errors.Join(err, b.Close())
	}
	return "mqtt://" + listening.String(), func() { b.Close() }, nil
}
