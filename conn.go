package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/wire"
)

// conn is one network connection. Its three goroutines (reader, writer,
// keep-alive) begin and end together in serve and touch nothing of the next
// connection: all that outlives a connection is in the engine.
type conn struct {
	client *Client
	nc     net.Conn
	reader *wire.Reader
	wake   chan struct{} // one token: there is something for the writer

	// Guarded by client.mu.
	asleep  bool          // the writer waits for wake
	leaving error         // why we are leaving; the writer ends when all is written
	taken   uint64        // buffers taken from the engine
	lossy   uint64        // the last of them that has, or will have, a QoS 0 message
	written uint64        // of them, written
	flushed chan struct{} // closed and replaced when written advances; nil: nobody waits

	leaveBy  atomic.Int64 // when a farewell has to be over, in Unix nanoseconds; 0: not leaving
	start    time.Time
	lastRead atomic.Int64 // when bytes last arrived, in nanoseconds since start
}

// farewell bounds how long a closing connection may still write and wait for
// the server to close its side.
const farewell = time.Second

// spareSize is the largest write buffer that is kept for the next write.
const spareSize = 512 << 10

var errServerClosed = fmt.Errorf("server closed the connection: %w", io.EOF)

func newConn(c *Client, nc net.Conn, v Version) *conn {
	k := &conn{client: c, nc: nc, wake: make(chan struct{}, 1), start: time.Now()}
	k.reader = wire.NewReader(arrivals{k}, v, int(c.cfg.MaximumPacketSize))
	return k
}

// arrivals notes when bytes arrive: even half a packet is proof of life.
type arrivals struct{ k *conn }

func (a arrivals) Read(b []byte) (int, error) {
	n, err := a.k.nc.Read(b)
	if n > 0 {
		a.k.lastRead.Store(int64(time.Since(a.k.start)))
		a.k.client.counters.bytesReceived.Add(uint64(n))
	}
	return n, err
}

// handshake sends CONNECT and takes packets until CONNACK, within ctx. On
// success the engine is connected and k is the client's connection.
func (k *conn) handshake(ctx context.Context, v Version, p *wire.Connect) (err error) {
	c := k.client
	stop := context.AfterFunc(ctx, func() { k.nc.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() || ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			k.nc.Close()
			c.forget(k, err)
		}
	}()
	c.mu.Lock()
	c.epoch++
	err = c.engine.Connect(v, p, time.Now())
	hello := c.engine.Take(nil, time.Time{})
	c.mu.Unlock()
	if err != nil {
		return err
	}
	n, err := k.nc.Write(hello)
	c.counters.bytesSent.Add(uint64(n))
	if err != nil {
		return k.lastWords(err)
	}
	for {
		if err := k.reader.Fill(); err != nil {
			return readError(err)
		}
		done, err := k.takeConnack()
		if done || err != nil {
			return err
		}
	}
}

// lastWords returns what the server said before it reset the connection, so
// that CONNECT failed with err: with TLS 1.3 it refuses our certificate when our
// part of the handshake is over.
func (k *conn) lastWords(err error) error {
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	said := k.reader.Fill()
	if said == nil || said == io.EOF || errors.Is(said, syscall.ECONNRESET) {
		return err
	}
	return readError(said)
}

// takeConnack handles buffered packets up to CONNACK and no further.
func (k *conn) takeConnack() (done bool, err error) {
	c := k.client
	var e effects
	var event Event
	c.mu.Lock()
	done, err = k.handleUntilConnack()
	if done && c.ending != nil {
		done, err = false, c.ending
	}
	if done {
		event = c.established(k)
	}
	c.settle(&e)
	c.mu.Unlock()
	e.perform()
	if done {
		c.watchers.send(event)
	}
	return done, err
}

func (k *conn) handleUntilConnack() (done bool, err error) {
	engine := k.client.engine
	for !engine.Connected() {
		h, body, ok, err := k.reader.Next()
		if err != nil || !ok {
			return false, err
		}
		if err := engine.Handle(h, body, time.Now()); err != nil {
			return false, err
		}
	}
	return true, nil
}

// serve runs the connection until it ends and returns why.
func (k *conn) serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { k.nc.Close() })
	g.Go(func() error { return k.readLoop(ctx) })
	g.Go(func() error { return k.writeLoop(ctx) })
	g.Go(func() error { return k.keepAlive(ctx) })
	err := g.Wait()
	stop()
	k.nc.Close()
	k.client.mu.Lock()
	defer k.client.mu.Unlock()
	if k.leaving != nil {
		return k.leaving
	}
	return err
}

// readLoop takes what arrives, one lock for all packets of a read, and hands
// messages to the subscriptions. It never waits for whoever consumes them,
// except under the Block policy.
func (k *conn) readLoop(ctx context.Context) error {
	var e effects
	for {
		if err := k.reader.Fill(); err != nil {
			if _, fault := errors.AsType[*wire.Error](err); fault {
				return k.breakOff(ctx, err)
			}
			return readError(err)
		}
		if err := k.takeBatch(ctx, &e); err != nil {
			return k.breakOff(ctx, err)
		}
	}
}

func (k *conn) takeBatch(ctx context.Context, e *effects) error {
	c := k.client
	now := time.Now()
	c.mu.Lock()
	c.engine.Recycle()
	err := k.handleBuffered(now)
	received := c.engine.Received()
	c.counters.received += uint64(len(received))
	flooded := c.engine.Pending() > maxAnswers
	c.settle(e)
	c.mu.Unlock()
	// Whoever waits for a SUBACK or UNSUBACK finds delivered what came before it.
	answered := e.answered
	e.answered = nil
	e.perform()
	c.deliver(ctx, received)
	e.answered = answered
	e.perform()
	if flooded && err == nil {
		return k.awaitWriter(ctx)
	}
	return err
}

// maxAnswers is how many bytes may wait to be written before the reader waits
// for the writer. Messages stop far below it, so these are answers to a server
// that asks and asks and does not read.
const maxAnswers = 4 << 20

// awaitWriter waits until little enough is left to write. The writer's deadline
// bounds the wait.
func (k *conn) awaitWriter(ctx context.Context) error {
	for {
		k.client.mu.Lock()
		if k.client.engine.Pending() <= maxAnswers {
			k.client.mu.Unlock()
			return nil
		}
		progress := k.progress()
		k.client.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// progress returns a channel that is closed after the next write, or with the
// connection. Called with client.mu held.
func (k *conn) progress() <-chan struct{} {
	if k.flushed == nil {
		k.flushed = make(chan struct{})
	}
	return k.flushed
}

func (k *conn) handleBuffered(now time.Time) error {
	for {
		h, body, ok, err := k.reader.Next()
		if err != nil || !ok {
			return err
		}
		if err := k.client.engine.Handle(h, body, now); err != nil {
			return err
		}
	}
}

// breakOff ends the connection because of err once the writer has sent what
// the engine has to say about it.
func (k *conn) breakOff(ctx context.Context, err error) error {
	k.client.mu.Lock()
	k.client.engine.Fail(err)
	k.leave(err)
	k.client.mu.Unlock()
	k.hurry()
	<-ctx.Done()
	return err
}

// leave makes the writer the one who ends the connection. Called with
// client.mu held; hurry has to follow without it.
func (k *conn) leave(cause error) {
	if k.leaving == nil {
		k.leaving = cause
		k.leaveBy.Store(time.Now().Add(farewell).UnixNano())
	}
}

// hurry bounds what a leaving connection still does, even a write under way.
func (k *conn) hurry() {
	k.nc.SetDeadline(time.Unix(0, k.leaveBy.Load()))
	k.wakeUp()
}

// wakeUp tells the writer that there is something to do.
func (k *conn) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// writeLoop writes what has gathered in the engine while the last write was
// under way: the busier the connection, the fewer the writes.
func (k *conn) writeLoop(ctx context.Context) error {
	c := k.client
	var e effects
	var spare []byte
	for {
		c.mu.Lock()
		if c.engine.Pending() == 0 {
			leaving := k.leaving
			k.asleep = leaving == nil
			c.mu.Unlock()
			if leaving != nil {
				return k.sayGoodbye(ctx, leaving)
			}
			if cap(spare) > spareSize/8 {
				spare = nil // an idle connection keeps no large buffer
			}
			select {
			case <-k.wake:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			// Let publishers that are ready to run add their packets first.
			runtime.Gosched()
			continue
		}
		b := c.engine.Take(spare, time.Now())
		k.taken++
		c.settle(&e)
		c.mu.Unlock()
		e.perform()
		if err := k.write(b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		c.mu.Lock()
		c.engine.Wrote(time.Now())
		k.written++
		flushed := k.flushed
		k.flushed = nil
		c.mu.Unlock()
		if flushed != nil {
			close(flushed)
		}
		spare = b[:0]
		if cap(b) > spareSize {
			spare = nil
		}
	}
}

// write writes all of b. The deadline is for progress: each piece has its own.
func (k *conn) write(b []byte) error {
	const piece = 128 << 10
	for len(b) > 0 {
		deadline := time.Now().Add(k.client.cfg.WriteTimeout)
		if by := k.leaveBy.Load(); by != 0 {
			deadline = time.Unix(0, by)
		}
		if err := k.nc.SetWriteDeadline(deadline); err != nil {
			return err
		}
		n, err := k.nc.Write(b[:min(piece, len(b))])
		k.client.counters.bytesSent.Add(uint64(n))
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// sayGoodbye gives the server the chance to read the last bytes: closing a
// socket with unread input would reset the connection and could destroy them.
func (k *conn) sayGoodbye(ctx context.Context, cause error) error {
	if half, ok := k.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	timer := time.NewTimer(time.Until(time.Unix(0, k.leaveBy.Load())))
	defer timer.Stop()
	if errors.Is(cause, ErrClosed) {
		select {
		case <-ctx.Done(): // the reader has seen the end
		case <-timer.C:
		}
	}
	return cause
}

// keepAlive sends pings and notices a server that does not answer.
func (k *conn) keepAlive(ctx context.Context) error {
	c := k.client
	var e effects
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		now := time.Now()
		c.mu.Lock()
		c.engine.Alive(k.start.Add(time.Duration(k.lastRead.Load())))
		err := c.engine.Tick(now)
		due := c.engine.Deadline()
		c.settle(&e)
		c.mu.Unlock()
		e.perform()
		if err != nil {
			return err
		}
		if due.IsZero() {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		timer.Reset(time.Until(due))
	}
}

// readError words the end of the stream for people.
func readError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errServerClosed
	}
	return fmt.Errorf("read: %w", err)
}
