package mqtt

import (
	"context"
	"fmt"
	"io"
	"log/slog"
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
	connOptions
	nc      *transport.Conn
	reader  *wire.Reader
	decoder session.Decoder // of the reader
	log     *packetLog      // nil: packets are not logged

	leaving  error  // why we are leaving; the writer ends when all is written; guarded by engine.mu
	clientID string // of CONNECT, or what the server has assigned
	fleeting bool   // CONNECT asked for a session that ends with the connection
	place    place
	fallback error       // why it is not a connection of 5.0, with Auto
	outbox   outbox      // guarded by engine.mu
	reading  reading     // who reads
	ping     ping        // guarded by engine.mu
	timer    *time.Timer // of keepAlive; nil: that has not begun; guarded by engine.mu

	start   time.Time
	up      time.Duration // after start, when the server accepted it; 0: it has not
	age     time.Duration // after start, when the connection is to be replaced; 0: never; of keepAlive
	leaveBy atomic.Int64  // when a leaving connection has to be over, in nanoseconds since start; 0: not leaving
	written atomic.Uint64 // bytes, in all
}

// connOptions is what a connection has from the client that it is made for.
type connOptions struct {
	engine        *engine
	maxPacketSize int           // of what is received
	maxAge        time.Duration // of the connection; 0: any
	writeTimeout  time.Duration // how long a write may not move
	logger        *slog.Logger
	traffic       *traffic
	receiver      recipient
	acks          gatheredAcks
	tolerance     *tolerance

	// established is called with engine.mu held when the server has accepted the
	// connection. An error ends it. pass is called without the lock.
	established func(*conn) (pass func(), err error)
	// retire is called without a lock when the connection has reached its largest age.
	retire func(*conn)
}

// recipient takes what the reader of a connection has got for consumers. All is called by
// the reader, apart from waiting, which anybody may call, and from what says otherwise.
type recipient interface {
	// begin comes first. hinted says that rest is called whenever the reader is about to
	// wait for the network.
	begin(r *wire.Reader, hinted bool)
	// deliver hands over the messages of one read. It may wait for a consumer until ctx
	// ends.
	deliver(ctx context.Context, received []session.Received)
	// take hands over the messages of one read to the consumer that has read them, if all
	// are its own and there is space for them. If not, take does nothing and returns false.
	// That consumer calls it.
	take(received []session.Received) bool
	// catchUp lets consumers catch up with what was delivered: it passes the source, which
	// may be nil, to the one that waits, or wakes them if much is waiting. It reports
	// whether it has passed the source. Until retake only the consumer calls take, and
	// nobody the other methods.
	catchUp(source) bool
	// retake ends what catchUp has begun. The reader calls it, or the consumer.
	retake()
	// tellRefused gets the messages that had to be refused.
	tellRefused([]session.Refused)
	// rest is called when the reader is at rest, or at its end.
	rest()
	// wakeConsumers wakes those to whom messages were handed over.
	wakeConsumers()
	// waiting reports whether deliver waits, so that nothing the server sends is noticed.
	waiting() bool
}

// gatheredAcks are the acknowledgements that consumers have given. The goroutine that
// writes next collects them. Both methods are called with engine.mu held.
type gatheredAcks interface {
	handLocked(*session.Client)
	trimLocked() // gives back the memory of busier times
}

var errServerClosed = fmt.Errorf("server closed the connection: %w", io.EOF)

func newConn(o connOptions, nc *transport.Conn, h hello) *conn {
	k := &conn{connOptions: o, nc: nc, clientID: h.clientID, place: h.place, fleeting: h.sessionExpiry < 0, fallback: h.fallback,
		start: time.Now(), age: drawAge(o.maxAge)}
	k.reader = wire.NewReader((*arrivals)(k), h.version, o.maxPacketSize)
	k.log = newPacketLog(o.logger, h.version)
	hinted := nc.Poll(o.receiver.rest)
	k.outbox = outbox{wake: make(chan struct{}, 1), writerOnly: !nc.Direct() || k.log != nil || o.engine.keeper != nil}
	k.reading = reading{conn: k, back: make(chan struct{}, 1), fixed: !nc.Direct() || k.log != nil}
	o.receiver.begin(k.reader, hinted)
	return k
}

// serve runs the connection until it ends and returns why: because of the first of its
// goroutines that fails, unless we are leaving. A client that ends leaves its connection,
// so there is no other way to end this one.
func (k *conn) serve() error {
	k.nc.SetWriteLimit(k.writeTimeout)
	g, ctx := errgroup.WithContext(context.Background())
	g.Go(func() error { return k.readLoop(ctx) })
	g.Go(func() error { return k.writeLoop(ctx) })
	g.Go(func() error { return k.keepAlive(ctx) })
	<-ctx.Done() // one of them has failed, which ends the others by way of the socket
	k.nc.Close()
	k.outbox.wakeWriter()
	err := g.Wait()
	k.engine.mu.Lock()
	defer k.engine.mu.Unlock()
	if k.leaving != nil {
		return k.leaving
	}
	return err
}
