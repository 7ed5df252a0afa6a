package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// sketchClient is a throw-away core of the same design as this library, with an honest
// interface: any number of goroutines may publish, each message has a handle, publishers
// wait where a bound is reached, and each filter has a handler of its own. It has no
// reconnect, no MQTT 5 and no checks, and it keeps no copy of what is unacknowledged: it
// shows what the design can reach, not what a user could have.
//
// Publishers append to one buffer, and a goroutine writes what has gathered. Another reads,
// calls handlers in place, and answers all of a read with one write.
type sketchClient struct {
	job   *job
	conn  net.Conn
	lends bool // handlers see the read buffer instead of a copy
	subs  atomic.Pointer[map[string]*sketchSubscription]
	// wake has a place for one sender, which is the one that sets woken.
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	pending []byte     // packets that nobody writes yet
	spare   []byte     // the buffer that was written last
	writing bool
	woken   bool // the writer is awake, or about to be
	table   sketchTable
	err     error     // why the connection ended
	room    sync.Cond // in pending
	slots   sync.Cond // in table
}

func sketchClients() []entry {
	kinds := []kind{publishing0, async, blocking, sequential, receiving, dispatching}
	received := []kind{receiving, dispatching}
	// It does not receive at QoS 2.
	simple := func(s *scenario) bool { return s.qos < 2 || s.server != "firehose" }
	return []entry{
		{name: sketchOwned, role: sketch, kinds: kinds, only: simple, open: openSketch(false)},
		{name: sketchLent, role: sketch, kinds: received, only: simple, open: openSketch(true)},
	}
}

func openSketch(lends bool) func(*job) (client, error) {
	return func(j *job) (client, error) {
		nc, err := j.dial()
		if err != nil {
			return nil, err
		}
		c := &sketchClient{job: j, conn: nc, lends: lends, wake: make(chan struct{}, 1)}
		c.room.L, c.slots.L = &c.mu, &c.mu
		c.subs.Store(&map[string]*sketchSubscription{})
		in := &intake{conn: nc, max: blockSize + j.size}
		if err := c.connect(in); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		go c.write()
		go c.read(in)
		return c, nil
	}
}

func (c *sketchClient) connect(in *intake) error {
	if _, err := c.conn.Write(appendConnect(nil, c.job.clientID)); err != nil {
		return err
	}
	for {
		if err := in.fill(); err != nil {
			return err
		}
		first, body, ok, err := in.next()
		if err != nil {
			return err
		}
		if ok && (first != typeConnack || body[1] != 0) {
			return fmt.Errorf("CONNECT was answered by %#x % x", first, body)
		}
		if ok {
			return nil
		}
	}
}

func (c *sketchClient) publish(qos byte) error {
	if qos == 0 {
		return c.post()
	}
	h, err := c.submit(qos, true)
	if err != nil {
		return err
	}
	return h.wait()
}

// post sends a message at QoS 0.
func (c *sketchClient) post() error {
	c.mu.Lock()
	if err := c.awaitRoomLocked(); err != nil {
		c.mu.Unlock()
		return err
	}
	c.pending = publishing{topic: topic}.append(c.pending, 0, c.job.payload)
	c.unlockAndWake()
	return nil
}

// submit begins to send a message at QoS 1 or 2. If somebody waits for it and nothing else
// is on its way, the caller writes it: to wake the writer would take longer.
func (c *sketchClient) submit(qos byte, awaited bool) (*sketchHandle, error) {
	h := new(sketchHandle)
	c.mu.Lock()
	for c.table.used >= window && c.err == nil {
		c.slots.Wait()
	}
	if err := c.awaitRoomLocked(); err != nil {
		c.mu.Unlock()
		return nil, err
	}
	alone := c.idleLocked() && c.table.used == 0
	id := c.table.add(h)
	c.pending = publishing{topic: topic, qos: qos}.append(c.pending, id, c.job.payload)
	if awaited && alone {
		c.writeLocked()
	}
	c.unlockAndWake()
	return h, nil
}

func (c *sketchClient) publishAsync(qos byte) error {
	_, err := c.submit(qos, false)
	return err
}

// flush waits until nothing is unacknowledged.
func (c *sketchClient) flush() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.table.used > 0 && c.err == nil {
		c.slots.Wait()
	}
	return 0, c.err
}
