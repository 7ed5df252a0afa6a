package mqtttest

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/seed65a45251/mqtt/internal/pipe"
)

// network holds the ways to connect to the broker.
type network struct {
	memory *pipe.Listener

	mu  sync.Mutex   // guards what follows
	tcp net.Listener // nil: not asked for yet
}

// memoryURL has a port on which nothing listens.
const memoryURL = "mqtt://127.0.0.1:1"

// Dial makes a connection in memory and ignores network and address. It fits the Dial
// of a client's configuration, for example of mqtt.Config.
func (b *Broker) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if b.stopped() {
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: pipe.Addr{}, Err: pipe.ErrRefused}
	}
	return b.network.memory.Dial(ctx)
}

// URL returns the address of the broker on a loopback port, which the first call
// opens. In a bubble, where a real socket would stop the time, it opens no port and
// returns a URL that works only with Dial.
func (b *Broker) URL() string {
	b.t.Helper()
	if inBubble() {
		return memoryURL
	}
	b.network.mu.Lock()
	defer b.network.mu.Unlock()
	if b.network.tcp == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.t.Fatalf("mqtttest: %v", err)
		}
		b.network.tcp = l
		b.spawn(func() { b.accept(l) })
	}
	return "mqtt://" + b.network.tcp.Addr().String()
}

func (n *network) close() {
	n.memory.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tcp != nil {
		n.tcp.Close()
	}
}

// systemBuffer bounds what the operating system takes of a client whose bytes nobody reads.
// By itself it may take tens of megabytes, and a half-open network would swallow whole
// messages.
const systemBuffer = 256 << 10

func (b *Broker) accept(ln net.Listener) {
	for {
		client, err := ln.Accept()
		if err != nil {
			return
		}
		if socket, ok := client.(*net.TCPConn); ok {
			_ = socket.SetReadBuffer(systemBuffer)
		}
		if err := b.connect(client); err != nil {
			b.recorder.add(&Event{Note: "connection refused: " + err.Error()})
			reset(client)
		}
	}
}

var errClosing = errors.New("the test is over")

// connect makes a link between a new client and the broker.
func (b *Broker) connect(client net.Conn) error {
	if b.stopped() {
		return pipe.ErrRefused
	}
	server, err := b.service.dial(context.Background())
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		server.Close()
		return errClosing
	}
	b.opened++
	l := newLink(b, b.opened, client, server)
	b.links[l] = struct{}{}
	b.recorder.connected(l.number)
	b.running.Go(l.run)
	return nil
}

func (b *Broker) stopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.faults.stopped
}

// reset closes a connection so that the peer gets an error, if the network can show
// one.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}
