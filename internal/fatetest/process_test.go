package fatetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// process is where the client runs: in the test, or in a process of its own, which can
// be killed.
type process interface {
	connected() bool
	bytesSent() uint64
	// ahead publishes a message that is in the way of others. At QoS 0 it returns when
	// the message is written.
	ahead(message)
	// publish publishes a message beside the test, and returns when that waits or is over.
	publish(message) *call
	// kill ends the process without a chance to do anything.
	kill()
}

// message is what processes tell each other of one.
type message struct {
	Topic     string
	QoS       mqtt.QoS
	Size      int
	Expires   time.Duration // zero: never
	Async     bool          // PublishAsync, which returns; otherwise Publish
	Blocked   bool          // PublishAsync does not return
	NotQueued bool
	NotStored bool
}

func (m message) message() *mqtt.Message {
	n := &mqtt.Message{Topic: m.Topic, Payload: bytes.Repeat([]byte("x"), m.Size), QoS: m.QoS, NotQueued: m.NotQueued, NotStored: m.NotStored}
	if m.Expires > 0 {
		n.MessageExpiryInterval = &m.Expires
	}
	return n
}

// running is a client and what is done with it, wherever it is.
type running struct {
	ctx      context.Context
	client   *mqtt.Client
	consumer *consumer // nil: in no child
}

func (r running) connected() bool   { return r.client.State() == mqtt.Connected }
func (r running) bytesSent() uint64 { return r.client.Stats().BytesSent }

// publish returns when the message is accepted, if that is what Async waits for, or
// when the call waits.
func (r running) publish(m message) *call {
	n, accepted := m.message(), make(chan struct{})
	c := begin(r.ctx, func(ctx context.Context) error {
		if !m.Async {
			return r.client.PublishMessage(ctx, n)
		}
		d, err := r.client.PublishAsync(ctx, n)
		if err != nil {
			return err
		}
		close(accepted)
		_, err = d.Wait(ctx)
		return err
	})
	if m.Async && !m.Blocked {
		select {
		case <-accepted:
		case <-c.done:
		}
	}
	c.awaitWaiting()
	c.accepted = accepted
	return c
}

func (r running) tryAhead(m message) error {
	_, err := r.client.PublishAsync(r.ctx, m.message())
	if err == nil && m.QoS == mqtt.AtMostOnce {
		err = r.client.Flush(r.ctx)
	}
	return err
}

// here is the process of the test.
type here struct {
	*world
	running
}

func (h here) ahead(m message) { require.NoError(h.T, h.tryAhead(m)) }

// kill leaves the client without a network and a Store, as if it had never run on.
func (h here) kill() {
	h.dead.Store(true)
	if h.disk != nil {
		h.disk = h.disk.Killed(h.T)
	}
	h.servers[0].Drop("c")
}

// orders is what a child is to be.
type orders struct {
	URL, Store string
	Version    mqtt.Version
	Inflight   int
	Queue      int
}

// child is a process of its own.
type child struct {
	*world
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

// childVariable is set in children.
const childVariable = "FATETEST_CHILD"

// startChild starts one whose client is connected.
func startChild(w *world, path string) *child {
	program, err := os.Executable()
	require.NoError(w, err)
	c := &child{world: w, cmd: exec.CommandContext(w.Context(), program)}
	c.cmd.Env = append(os.Environ(), childVariable+"=1")
	c.cmd.Stderr = w.Output()
	in, err := c.cmd.StdinPipe()
	require.NoError(w, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(w, err)
	c.in, c.out = in, bufio.NewReader(out)
	require.NoError(w, c.cmd.Start())
	var connected bool
	c.ask(orders{w.url(0), path, w.version, w.cfg.Inflight, w.cfg.QueueMessages}, &connected)
	require.True(w, connected)
	return c
}

// ask sends a line and takes one.
func (c *child) ask(question, answer any) {
	c.Helper()
	require.NoError(c, json.NewEncoder(c.in).Encode(question))
	line, err := c.out.ReadBytes('\n')
	require.NoError(c, err)
	require.NoError(c, json.Unmarshal(line, answer), "%s", line)
}

// wish is what a child is told to do.
type wish struct {
	Do      string
	Message message
}

func (c *child) connected() (yes bool) {
	c.ask(wish{Do: "connected"}, &yes)
	return yes
}

func (c *child) bytesSent() (n uint64) {
	c.ask(wish{Do: "sent"}, &n)
	return n
}

func (c *child) ahead(m message) {
	var fault string
	c.ask(wish{"ahead", m}, &fault)
	require.Empty(c, fault)
}

func (c *child) publish(m message) *call {
	var fault string
	c.ask(wish{"publish", m}, &fault)
	require.Empty(c, fault)
	return nil // nobody learns how it ends
}

func (c *child) kill() {
	require.NoError(c, c.cmd.Process.Kill())
	c.cmd.Wait()
	c.servers[0].Drop("c") // what was held back does not arrive after all
}

// runChild is the program of a child.
func runChild() error {
	lines, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var o orders
	if err := lines.Decode(&o); err != nil {
		return err
	}
	r, err := o.connect()
	if err != nil {
		return err
	}
	if err := answers.Encode(true); err != nil {
		return err
	}
	for {
		var w wish
		if err := lines.Decode(&w); err != nil {
			return err
		}
		if err := answers.Encode(r.grant(w)); err != nil {
			return err
		}
	}
}

func (o orders) connect() (r running, err error) {
	cfg := mqtt.Config{ClientID: "c", Resume: true, Version: o.Version, Inflight: o.Inflight, QueueMessages: o.Queue,
		Reconnect: quick, Dial: dialSmall}
	if o.Store != "" {
		var s store.Store
		if s, err = bolt.Open(o.Store, bolt.Config{}); err != nil {
			return r, err
		}
		cfg.Store = s
	}
	r.ctx = context.Background()
	r.client, err = mqtt.Connect(r.ctx, o.URL, cfg)
	r.consumer = newConsumer(r.ctx, r.client)
	return r, err
}

func (r running) grant(w wish) any {
	switch w.Do {
	case "connected":
		return r.connected()
	case "sent":
		return r.bytesSent()
	case "ahead":
		if err := r.tryAhead(w.Message); err != nil {
			return err.Error()
		}
		return ""
	case "publish":
		r.publish(w.Message)
		return ""
	case "received":
		return r.client.Stats().Received
	}
	if err := r.consumer.consume(w.Do); err != nil {
		return err.Error()
	}
	return ""
}

// quick is for real time.
var quick = reconnect.Policy{Min: time.Millisecond, Max: 10 * time.Millisecond}

// dialSmall connects with a socket that does not take much ahead.
func dialSmall(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return nc, nc.(*net.TCPConn).SetWriteBuffer(64 << 10)
}

func childMain() {
	if err := runChild(); err != nil && err != io.EOF {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
