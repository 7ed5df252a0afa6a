package main

import (
	"context"
	"strconv"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
)

// link is the way to the server: one given by its URL, or a broker of this process.
type link struct {
	url    string
	broker *broker.Broker // nil: a server of others
	stop   func()
}

func newLink(ctx context.Context, server string) (*link, error) {
	if server != "" {
		return &link{url: server}, nil
	}
	b := broker.New(broker.Config{})
	// The broker outlives Ctrl-C, so that the client can send DISCONNECT.
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	address, err := b.Listen(listening, "tcp", "127.0.0.1:0")
	if err != nil {
		stop()
		return nil, err
	}
	return &link{"mqtt://" + address.String(), b, stop}, nil
}

// feed publishes count payments of 1 to the embedded broker.
func (l *link) feed(ctx context.Context, count int) error {
	if l.broker == nil {
		return nil
	}
	payer, err := mqtt.Connect(ctx, l.url, mqtt.Config{})
	if err != nil {
		return err
	}
	for range count {
		if err := payer.Publish(ctx, "payments", []byte(strconv.Itoa(1)), mqtt.ExactlyOnce); err != nil {
			return err
		}
	}
	return payer.Disconnect(ctx)
}

func (l *link) close() {
	if l.broker != nil {
		l.stop()
		l.broker.Close()
	}
}
