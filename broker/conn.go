package broker

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// pendingMaximum is how many bytes of answers may wait for a client before the
// next of its packets is handled.
const pendingMaximum = 256 << 10

// errGone says that the connection has lost its session or its writer.
var errGone = errors.New("connection was ended")

// conn is one network connection. Its reader handles packets and its writer
// sends what the session's link holds; all answers to what one read brought go
// out in one write.
type conn struct {
	b        *Broker
	net      net.Conn
	line     limited       // says when net is dead
	given    net.Conn      // what net was made of
	listener *listener     // nil when there is none
	request  *http.Request // of a WebSocket; nil: none
	standing standing      // guarded by doors.mu
	signals  signals
	client   *client // set once, under Broker.mu
	last     last    // guarded by client.mu
	spare    []byte  // of the writer, which uses it next

	// Of the reader.
	intake   intake
	reader   *wire.Reader
	decoder  wire.Decoder
	*work    // borrowed while packets are handled
	hello    // set before client is
	enhanced enhanced
	asked    uint64 // rules under which the hooks are asked about a SUBSCRIBE
}

// hello is what CONNECT said, and what CONNACK made of it.
type hello struct {
	version   wire.Version
	bridge    bool
	terse     bool          // no reason strings
	keepAlive time.Duration // silence after which the connection ends; 0: never
	limits    session.Limits
	peer      *Peer // nil before CONNECT
}

// signals are how the goroutines of a connection wake each other.
type signals struct {
	writer   atomic.Uint32 // see writerIdle
	drained  bell          // something was written
	noReader gate          // the reader is done
	noWriter gate          // the writer is done
	gone     chan struct{} // closed when nothing is left

	failure atomic.Pointer[refusal] // ends the connection from elsewhere; nil: none
	late    atomic.Int32            // how many wait until everything that has come is handled
	steps   atomic.Uint32           // packets that were handled, where hooks may take their time
}

// last is what is still written when the session was taken away.
type last struct {
	bytes []byte
	told  bool // they end with a reason: make sure that the peer can read it
}

// work is what the handling of packets needs. An idle connection has none.
type work struct {
	packets packets
	router  router
}

var works = sync.Pool{New: func() any { return new(work) }}

// release ends the use of w and wakes the writers of those who got something.
func (w *work) release() {
	w.packets = packets{}
	w.router.flush()
	w.router.properties = wire.PublishProperties{}
	clear(w.router.matched)
	works.Put(w)
}

// packets keeps those of the hot path off the heap.
type packets struct {
	publish wire.Publish
	puback  wire.Puback
	pubrec  wire.Pubrec
	pubrel  wire.Pubrel
	pubcomp wire.Pubcomp
	message message
}

// ending says how a connection ends.
type ending struct {
	reason wire.ReasonCode
	text   string // reason string; empty: none
	server string // to go to; empty: none
	tell   bool   // send DISCONNECT with the reason, if the version has it
	will   bool   // the will is published
}

// limited is a connection whose limits count bytes, whatever they are part of.
type limited interface {
	Handshake(d time.Duration) error
	Moved() (bytes int64, last time.Time)
	SetReadLimit(d time.Duration) error
	SetWriteLimit(d time.Duration)
	Finish(t time.Time) error
	Close() error
}

// watch returns nc with limits. They are at the bottom of it, below TLS, unless
// somebody else has made the TLS: then they see records of it only.
func watch(nc net.Conn) (net.Conn, limited) {
	if w, ok := nc.(*webSocket); ok {
		return w, w
	}
	if bottom := line.Under(nc); bottom != nil {
		return nc, bottom
	}
	l := line.New(nc)
	return l, l
}

func newConn(b *Broker, nc net.Conn, l *listener) *conn {
	watched, limits := watch(nc)
	return &conn{
		b:        b,
		net:      watched,
		line:     limits,
		given:    nc,
		listener: l,
		decoder:  wire.Decoder{From: wire.FromClient},
		hello:    hello{terse: true}, // until it is known what the client can take
		signals:  signals{gone: make(chan struct{})},
	}
}

// run serves the connection until it is over.
func (c *conn) run() {
	defer c.cut()
	defer c.intake.end()
	resumed, err := c.handshake()
	if err != nil {
		c.b.counts.refused.Add(1)
		c.b.cfg.Logger.Info("connection refused", "remote", c.net.RemoteAddr(), "reason", err)
		c.b.observe(Refused{c.peer, err})
		return
	}
	log := c.b.cfg.Logger.With("client", c.peer.ClientID, "remote", c.net.RemoteAddr())
	log.Info("client connected", "version", c.version.String())

	c.b.observe(Connected{c.peer, resumed})
	err = c.read()
	c.b.leave(c, c.endingFor(err))
	c.discard()
	c.signals.noReader.open()
	<-c.signals.noWriter.wait()
	log.Info("client gone", "reason", err)
	c.b.observe(Disconnected{c.peer, err})
}

// read handles packets until the connection is over and says why.
func (c *conn) read() error {
	// [MQTT-3.1.2-22] half a packet is no silence.
	if err := c.line.SetReadLimit(c.keepAlive); err != nil {
		return err
	}
	// That of the handshake.
	if err := c.net.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	for {
		if c.enhanced.by != nil {
			if err := c.net.SetReadDeadline(c.deadline()); err != nil {
				return err
			}
		}
		// After the deadline, which is how fail wakes us.
		if no := c.signals.failure.Load(); no != nil {
			return no
		}
		if err := c.reader.Fill(); err != nil {
			if no := c.signals.failure.Load(); no != nil {
				return no
			}
			return err
		}
		if err := c.handleBuffered(time.Now()); err != nil {
			return err
		}
	}
}

// deadline returns when a re-authentication has to be over; zero: there is none.
func (c *conn) deadline() (t time.Time) {
	if e := &c.enhanced; e.again != nil {
		t = e.deadline
	}
	return t
}

// handleBuffered handles all packets that one read brought.
func (c *conn) handleBuffered(now time.Time) error {
	if !c.begin(now) {
		return errGone
	}
	if err := c.handleAll(now); err != nil {
		return err
	}
	c.decoder.Recycle()
	c.wake()
	return c.awaitRoom()
}

func (c *conn) handleAll(now time.Time) error {
	c.work = works.Get().(*work)
	defer func() {
		c.work.release()
		c.work = nil
	}()
	for {
		h, body, ok, err := c.reader.Next()
		if err != nil || !ok {
			return err
		}
		c.letGo()
		if err := c.handle(h, body, now); err != nil {
			return err
		}
	}
}

// letGo wakes the writers before a hook that may take its time, which otherwise
// happens once for all that one read brought.
func (c *conn) letGo() {
	if c.b.slowHooks {
		c.signals.steps.Add(1)
		c.router.flush()
		c.wake()
	}
}

// begin tells the sender the time, for messages that get too old.
func (c *conn) begin(now time.Time) bool {
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return false
	}
	cl.sender.Pump(now)
	cl.settle(&c.b.counts)
	return true
}

// awaitRoom keeps a client that does not read its answers from asking for more.
func (c *conn) awaitRoom() error {
	var drained <-chan struct{}
	for {
		c.client.mu.Lock()
		gone, pending := c.client.conn != c, c.client.link.Pending()
		c.client.mu.Unlock()
		switch {
		case gone:
			return errGone
		case pending <= pendingMaximum || pending <= latePending && c.signals.late.Load() > 0:
			return nil
		case drained == nil:
			drained = c.signals.drained.listen()
			continue
		}
		select {
		case <-drained:
		case <-c.signals.noWriter.wait():
			// What the client has sent before it went is still handled.
			if pending <= latePending {
				return nil
			}
			return errGone
		}
	}
}

// busy reports whether something waits for the client.
func (c *conn) busy() bool {
	c.b.mu.RLock()
	cl := c.client
	c.b.mu.RUnlock()
	if cl == nil {
		return false
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.conn == c && (cl.link.Pending() > 0 || cl.held.messages > 0)
}

// endingFor says what follows from what read returned.
func (c *conn) endingFor(err error) ending {
	if bye, ok := errors.AsType[*goodbye](err); ok {
		return ending{will: bye.will}
	}
	if fault, ok := errors.AsType[*wire.Error](err); ok {
		return ending{reason: fault.Reason, text: fault.Detail, tell: true, will: true}
	}
	if no, ok := errors.AsType[*refusal](err); ok {
		return ending{reason: no.code, text: no.text, server: no.server, tell: true, will: true}
	}
	if limit, ok := errors.AsType[*session.LimitError](err); ok {
		return ending{reason: limit.ReasonCode, tell: true, will: true}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if e := &c.enhanced; e.again != nil && !time.Now().Before(e.deadline) {
			return ending{reason: wire.NotAuthorized, text: "authentication took too long", tell: true, will: true}
		}
		// [MQTT-3.1.2-22] silence for one and a half keep-alive intervals.
		return ending{reason: wire.KeepAliveTimeout, tell: true, will: true}
	}
	return ending{will: true}
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*session.ServerError](err)
	return ok
}
