package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/broker"
)

// link is the connection to the server, and a way to break it.
type link struct {
	url, name string
	restart   func() error // of the embedded broker; nil: another server
	close     func()

	mu   sync.Mutex
	conn net.Conn // the last one dialled
}

func newLink(ctx context.Context, server string) (*link, error) {
	if server != "" {
		return &link{url: server, name: server, close: func() {}}, nil
	}
	return newEmbedded(ctx)
}

// newEmbedded starts a broker on a port that the system chooses.
func newEmbedded(ctx context.Context) (*link, error) {
	b := broker.New(broker.Config{})
	// The broker outlives Ctrl-C, so that the client can send DISCONNECT.
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	address, err := b.Listen(listening, "tcp", "127.0.0.1:0")
	if err != nil {
		stop()
		return nil, err
	}
	l := &link{url: "mqtt://" + address.String(), name: "the embedded broker"}
	l.close = func() {
		stop()
		b.Close()
	}
	l.restart = func() error {
		fmt.Println("  broker: stopping")
		stop()
		b.DropConnections()
		time.Sleep(300 * time.Millisecond)
		fmt.Println("  broker: back")
		listening, stop = context.WithCancel(context.WithoutCancel(ctx))
		_, err := b.Listen(listening, "tcp", address.String())
		return err
	}
	return l, nil
}

// dial does what a client does without Config.Dial, and remembers the connection so that
// breakConnection can cut it.
func (l *link) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		l.mu.Lock()
		l.conn = conn
		l.mu.Unlock()
	}
	return conn, err
}

// breakConnection restarts the embedded broker, or cuts the connection to
// another server.
func (l *link) breakConnection() error {
	if l.restart != nil {
		return l.restart()
	}
	fmt.Println("  cutting the connection")
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn.Close()
}
