package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// conn is one network connection. Reader, writer and keepAlive begin and end together in
// serve and touch nothing of the next connection: all that outlives a connection
// is in the engine.
type conn struct {
	client  *Client
	nc      *transport.Conn
	reader  *wire.Reader
	decoder session.Decoder // of the reader
	wake    chan struct{}   // one token: there is something for the writer

	clientID string // of CONNECT, or what the server has assigned
	fallback error  // why it is not a connection of 5.0, with Auto

	leaving error   // why we are leaving; the writer ends when all is written; guarded by engine.mu
	out     outbox  // guarded by engine.mu
	ping    ping    // guarded by engine.mu
	notices notices // of the writer; here, because a goroutine that waits should fit 2 KiB of stack

	delivery delivery // of the reader
	trace    *tracer  // nil: packets are not logged

	paused  atomic.Bool // the reader waits for room; nothing that the server sends is noticed
	start   time.Time
	leaveBy atomic.Int64  // when a farewell has to be over, in nanoseconds since start; 0: not leaving
	written atomic.Uint64 // bytes, in all
}

// outbox is what publishers and the writer know of each other.
type outbox struct {
	asleep  bool          // the writer waits for wake
	busy    bool          // somebody writes
	alone   uint8         // messages that were alone in flight, in a row
	buffer  []byte        // what is being written
	rest    []byte        // of it, what a direct write leaves to the writer
	taken   uint64        // buffers taken from the engine
	lossy   uint64        // the last of them that has, or will have, a QoS 0 message
	written uint64        // of them, written
	flushed chan struct{} // closed and replaced when written advances; nil: nobody waits
	spare   []byte        // the next write buffer
	trimmed uint64        // taken when trim was last called
}

// farewell bounds how long a closing connection may still write and wait for
// the server to close its side.
const farewell = time.Second

var errOnDemand = errors.New("Reconnect was called")

var errServerClosed = fmt.Errorf("server closed the connection: %w", io.EOF)

func newConn(c *Client, nc *transport.Conn, h hello) *conn {
	k := &conn{client: c, nc: nc, clientID: h.clientID, fallback: h.fallback, wake: make(chan struct{}, 1), start: time.Now()}
	k.reader = wire.NewReader(arrivals{k}, h.version, int(c.cfg.MaximumPacketSize))
	k.trace = newTracer(c, h.version)
	k.delivery.hinted = nc.Poll(k.wakeConsumers)
	return k
}

// serve runs the connection until it ends and returns why: because of the first of its
// goroutines that fails, unless we are leaving.
func (k *conn) serve(ctx context.Context) error {
	k.nc.SetWriteLimit(k.client.cfg.WriteTimeout)
	g, ctx := errgroup.WithContext(ctx)
	// What ends one of them, or the client, ends the others by way of the socket.
	defer context.AfterFunc(ctx, func() { k.nc.Close() })()
	g.Go(func() error { return k.readLoop(ctx) })
	g.Go(func() error { return k.writeLoop(ctx) })
	g.Go(func() error { return k.keepAlive(ctx) })
	err := g.Wait()
	k.client.engine.mu.Lock()
	defer k.client.engine.mu.Unlock()
	if k.leaving != nil {
		return k.leaving
	}
	return err
}

// breakOff ends the connection because of err once the writer has sent what
// the engine has to say about it.
func (k *conn) breakOff(ctx context.Context, err error) error {
	k.client.engine.mu.Lock()
	k.client.engine.Fail(err)
	k.leave(err)
	k.client.engine.mu.Unlock()
	k.hurry()
	<-ctx.Done()
	return err
}

// leave makes the writer the one who ends the connection. Called with
// engine.mu held; hurry has to follow without it.
func (k *conn) leave(cause error) {
	if k.leaving == nil {
		k.leaving = cause
		k.leaveBy.Store(int64(time.Since(k.start) + farewell))
	}
}

// hurry bounds what a leaving connection still does, even a write under way.
func (k *conn) hurry() {
	k.nc.Finish(k.farewellEnd())
	k.wakeUp()
}

// farewellEnd is when a leaving connection has to be over.
func (k *conn) farewellEnd() time.Time { return k.start.Add(time.Duration(k.leaveBy.Load())) }

// wakeUp tells the writer that there is something to do.
func (k *conn) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// sayGoodbye gives the server the chance to read the last bytes: closing a
// socket with unread input would reset the connection and could destroy them.
func (k *conn) sayGoodbye(ctx context.Context, cause error) error {
	k.nc.CloseWrite()
	timer := time.NewTimer(time.Until(k.farewellEnd()))
	defer timer.Stop()
	if errors.Is(cause, ErrClosed) || errors.Is(cause, errOnDemand) {
		select {
		case <-ctx.Done(): // the reader has seen the end
		case <-timer.C:
		}
	}
	return cause
}
