package broker

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/wsconn"
	"github.com/seed65a45251/mqtt/internal/brief"
	"github.com/seed65a45251/mqtt/internal/line"
	"github.com/seed65a45251/mqtt/wire"
)

// conn is one network connection. Its reader handles packets. Its writer sends what
// the session's link holds. All answers to the packets of one read go out in one
// write.
type conn struct {
	hub      *hub
	net      net.Conn
	line     limited       // the limits of net
	given    net.Conn      // the connection that the caller passed
	listener *listener     // nil when there is none
	request  *http.Request // of a WebSocket; nil: none
	standing standing      // guarded by doors.mu
	signals  signals
	client   *client // set once, under hub.mu
	last     last    // set by detachLocked; guarded by client.mu
	spare    []byte  // the writer's next buffer

	// Used by the reader only.
	intake   intake
	reader   *wire.Reader
	decoder  wire.Decoder
	*work    // borrowed while packets are handled
	hello    // set before client is
	enhanced enhanced
	asked    uint64 // number of the rules under which the hooks were asked about a SUBSCRIBE
}

// signals are how the goroutines of a connection wake each other.
type signals struct {
	writer   atomic.Uint32 // see writerIdle
	drained  bell          // rings when something was written
	noReader gate          // opens when the reader has ended
	noWriter gate          // opens when the writer has ended
	gone     chan struct{} // closed when the connection has ended

	failure atomic.Pointer[refusal] // ends the connection from elsewhere; nil: none
	late    atomic.Int32            // callers of catchUp that wait for this connection
	steps   atomic.Uint32           // packets handled so far, counted only if hooks may block
}

// last is what the writer still has to send after the session was taken away.
type last struct {
	bytes []byte
	told  bool // bytes ends with a reason, which the peer must be able to read
}

// work is the scratch memory for handling packets. An idle connection has none.
type work struct {
	packets packets
	router  router
}

var works = sync.Pool{New: func() any { return new(work) }}

// release returns w to the pool and wakes the writers of connections that got
// something.
func (w *work) release() {
	w.packets = packets{}
	w.router.flush()
	w.router.properties = wire.PublishProperties{}
	clear(w.router.matched)
	works.Put(w)
}

// packets keeps the packets of the hot path off the heap.
type packets struct {
	publish wire.Publish
	puback  wire.Puback
	pubrec  wire.Pubrec
	pubrel  wire.Pubrel
	pubcomp wire.Pubcomp
	message message
}

// limited is a connection with deadlines that count bytes on the wire, whatever they
// belong to.
type limited interface {
	Handshake(d time.Duration) error
	Moved() (bytes int64, last time.Time)
	SetReadLimit(d time.Duration) error
	SetWriteLimit(d time.Duration)
	Finish(t time.Time) error
	Close() error
}

// watch returns nc with limits. They apply to the bytes below TLS, unless the caller
// did the TLS: then they see only whole records of it.
func watch(nc net.Conn) (net.Conn, limited) {
	if w, ok := nc.(*wsconn.Conn); ok {
		return w, w
	}
	if bottom := line.Under(nc); bottom != nil {
		return nc, bottom
	}
	l := line.New(nc)
	return l, l
}

func newConn(h *hub, nc net.Conn, l *listener) *conn {
	watched, limits := watch(nc)
	return &conn{
		hub:      h,
		net:      watched,
		line:     limits,
		given:    nc,
		listener: l,
		decoder:  wire.Decoder{From: wire.FromClient},
		hello:    hello{terse: true}, // until CONNECT says otherwise
		signals:  signals{gone: make(chan struct{})},
	}
}

// run serves the connection until it is over.
func (c *conn) run() {
	defer c.cut()
	defer c.intake.end()
	resumed, err := c.handshake()
	if err != nil {
		c.hub.counts.refused.Add(1)
		c.hub.cfg.Logger.Info("connection refused", "remote", c.net.RemoteAddr(), "reason", err)
		c.hub.hooks.observe(Refused{c.peer, err})
		return
	}
	log := c.hub.cfg.Logger.With("client", brief.Text(c.peer.ClientID), "remote", c.net.RemoteAddr())
	log.Info("client connected", "version", c.version.String())

	c.hub.hooks.observe(Connected{c.peer, resumed})
	err = c.read()
	c.leave(c.endingFor(err))
	c.discard()
	c.signals.noReader.open()
	<-c.signals.noWriter.wait()
	log.Info("client gone", "reason", err)
	c.hub.hooks.observe(Disconnected{c.peer, err})
}

// listener is one call of Serve.
type listener struct {
	net.Listener
	ended bool // no new connection is accepted; guarded by hub.mu
}
