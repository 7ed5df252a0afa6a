package mqtt

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// conn is one network connection. Reader and writer begin and end together in
// serve and touch nothing of the next connection: all that outlives a connection
// is in the engine.
type conn struct {
	connOptions
	nc      net.Conn
	line    *line.Conn // at the bottom of nc, which says when it is dead
	direct  bool       // nc is line, which can be written to without waiting
	reader  *wire.Reader
	decoder session.Decoder // of the reader
	log     *packetLog      // nil: packets are not logged

	leaving error // why we are leaving; the writer ends when all is written; guarded by engine.mu
	cause   error // why the first of the two goroutines ended; guarded by engine.mu
	// answersPacket, once it has ended, says that it may have because of a packet of ours.
	answersPacket bool
	outbox        outbox  // guarded by engine.mu
	ping          ping    // guarded by engine.mu
	notices       notices // of the writer; here, because a goroutine that waits should fit 2 KiB of stack

	greeting greeting // of the reader
	start    time.Time
	leaveBy  atomic.Int64  // when a farewell has to be over, in nanoseconds since start; 0: not leaving
	written  atomic.Uint64 // bytes, in all
}

// connOptions is what a connection has from the client that it is made for.
type connOptions struct {
	engine        *engine
	maxPacketSize int           // of what is received
	writeTimeout  time.Duration // how long a write may not move
	logger        *slog.Logger
	traffic       *traffic
	receiver      recipient
	acks          gatheredAcks
	tolerance     *tolerance

	// established is called with engine.mu held when the server has accepted the
	// connection. An error ends it. announce is called without the lock.
	established func(*conn) (announce func(), err error)
}

// recipient takes what the reader of a connection has got for consumers. All but
// waiting is called by the reader.
type recipient interface {
	// begin comes first. hinted says that wakeConsumers is called whenever the reader is
	// about to wait for the network.
	begin(r *wire.Reader, hinted bool)
	// deliver hands over the messages of one read. It may wait for a consumer until ctx
	// ends.
	deliver(ctx context.Context, received []session.Received)
	// tellRefused gets the messages that had to be refused.
	tellRefused([]session.Refused)
	// wakeConsumers wakes those to whom messages were handed over.
	wakeConsumers()
	// waiting reports whether deliver waits, so that nothing the server sends is noticed.
	waiting() bool
}

// gatheredAcks are the acknowledgements that consumers have given, and that whoever
// writes next comes for. Both methods are called with engine.mu held.
type gatheredAcks interface {
	handLocked(*session.Client)
	trimLocked() // gives back the memory of busier times
}

var errServerClosed = fmt.Errorf("server closed the connection: %w", io.EOF)

func newConn(o connOptions, nc net.Conn, bottom *line.Conn, v Version) *conn {
	k := &conn{connOptions: o, nc: nc, line: bottom, start: time.Now()}
	k.reader = wire.NewReader(arrivals{k}, v, o.maxPacketSize)
	k.log = newPacketLog(o.logger, v)
	hinted := bottom.Poll(o.receiver.wakeConsumers)
	k.direct = hinted && nc == net.Conn(bottom)
	k.outbox = outbox{wake: make(chan struct{}, 1), writerOnly: !k.direct || k.log != nil}
	o.receiver.begin(k.reader, hinted)
	return k
}

// serve runs the connection until it ends and returns why.
func (k *conn) serve(ctx context.Context) error {
	k.line.SetWriteLimit(k.writeTimeout)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return k.end(k.readLoop(ctx)) })
	err := k.end(k.writeLoop(ctx)) // here, which saves a goroutine
	g.Go(func() error { return err })
	g.Wait() // cause says what it returns
	k.engine.mu.Lock()
	defer k.engine.mu.Unlock()
	if k.leaving != nil {
		return k.leaving
	}
	return k.cause
}

// end closes the socket because of err, which makes the other goroutine end too.
func (k *conn) end(err error) error {
	k.engine.mu.Lock()
	if k.cause == nil {
		k.cause = err
	}
	k.engine.mu.Unlock()
	cut(k.nc, k.line)
	return err
}

// tend sends a ping if one is due, notices a server that does not answer, and
// says when to come again.
func (k *conn) tend(n *notices) (wait time.Duration, err error) {
	taken, known := k.line.Taken()
	now := time.Now()
	heard := k.line.Heard()
	if k.receiver.waiting() {
		heard = now
	}
	k.engine.mu.Lock()
	k.engine.Alive(heard)
	if known && k.ping.moves(k.engine.Client, taken) {
		k.engine.DelayPing(now)
	}
	err = k.engine.Tick(now)
	due := k.engine.Deadline()
	look := known && k.ping.look(k.engine.Client)
	k.trimLocked()
	k.engine.unlock(n)
	wait = trimInterval
	if !due.IsZero() {
		wait = min(wait, time.Until(due))
	}
	if look {
		wait = min(wait, pingLook)
	}
	return wait, err
}
