package session

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Client is the client side of MQTT. One value serves any number of
// connections, one after the other:
//
//	Connect, then Handle for every packet received, then Lost
//
// In between, requests go in (Sender.Submit, Request, Receiver.Ack, Disconnect),
// bytes come out (Take), and Tick is called at Deadline. Results of the packets are
// collected until the caller takes them (Received, Completed, Answered).
type Client struct {
	Sender        *Sender
	Receiver      *Receiver
	Subscriptions *Subscriptions

	link       Link
	phase      phase
	announced  announced // of this connection
	connack    *wire.Connack
	decoder    wire.Decoder
	keepAlive  keepAlive
	requests   requests
	continuity continuity
	settings   ClientSettings
	received   []Received
	scratch    scratch
	excess     int    // see AllowExcess
	fault      error  // why the engine ended the connection; nil if it did not
	packets    uint64 // received on all connections
	pings      pings

	authentication authentication
	refusals       refusals
}

// Received is a message from the server. Payload and CorrelationData alias the
// bytes given to Handle, Properties is reused: both are valid until
// [Client.Recycle].
type Received struct {
	Publish wire.Publish
	Token   Token
}

type phase uint8

const (
	idle phase = iota
	connecting
	confirming // CONNACK came; the caller has to accept the server's part of an authentication
	connected
	ended // by an error, DISCONNECT in either direction
)

// announced is the part of CONNECT that is needed after it was sent. The packet itself,
// with password and will, is not kept.
type announced struct {
	method            string // the authentication method; empty: none
	maximumPacketSize uint32
	sessionExpiry     uint32
	receiveMaximum    uint16
	topicAliasMaximum uint16
	keepAlive         uint16
	cleanStart        bool
	noProblems        bool // problem information is not requested
}

func announcedBy(p *wire.Connect) announced {
	return announced{
		method:            p.AuthenticationMethod,
		maximumPacketSize: p.MaximumPacketSize,
		sessionExpiry:     p.SessionExpiryInterval,
		receiveMaximum:    p.ReceiveMaximum,
		topicAliasMaximum: p.TopicAliasMaximum,
		keepAlive:         p.KeepAlive,
		cleanStart:        p.CleanStart,
		noProblems:        p.RequestProblemInformation != nil && !*p.RequestProblemInformation,
	}
}

// scratch keeps an acknowledgement off the heap while it is handled. All four kinds have
// the same fields.
type scratch struct{ ack wire.Puback }

func (s *scratch) puback() *wire.Puback   { return &s.ack }
func (s *scratch) pubrec() *wire.Pubrec   { return (*wire.Pubrec)(&s.ack) }
func (s *scratch) pubrel() *wire.Pubrel   { return (*wire.Pubrel)(&s.ack) }
func (s *scratch) pubcomp() *wire.Pubcomp { return (*wire.Pubcomp)(&s.ack) }

// NewClient returns an engine without a connection.
func NewClient(s ClientSettings) *Client {
	c := &Client{settings: s, continuity: continuity{holders: holders{unknown: s.HasSession}}}
	c.Sender = NewSender(&c.link, 0)
	c.Sender.due.on = true
	c.Sender.failLost, c.Sender.quota.maxBytes = s.FailLost, s.InflightBytes
	c.Receiver = NewReceiver(&c.link)
	c.Subscriptions = &Subscriptions{client: c, link: &c.link, always: s.AlwaysSubscribe, most: s.FiltersPerSubscribe}
	c.decoder.Tolerate = s.Tolerate
	c.Sender.tolerate, c.Receiver.tolerate = s.Tolerate, s.Tolerate
	c.Receiver.unordered = s.UnorderedAnswers
	c.Sender.retry, c.Sender.retryFor = s.Retry, s.RetryFor
	c.Sender.pacer, c.Sender.lower = newPacer(s.Rate), s.LowerQoS
	c.Sender.journal, c.Receiver.journal, c.Subscriptions.journal = s.Journal, s.Journal, s.Journal
	return c
}

// Connect begins a connection of version v with the packet p. It is
// [Client.ConnectTo] for a client that knows one server.
func (c *Client) Connect(v wire.Version, p *wire.Connect, now time.Time) error {
	return c.ConnectTo("", v, p, now)
}

// ConnectTo is [Client.Connect] for one of several servers. Servers that share
// sessions have one name; a server with sessions of its own has its own name. Server and
// client identifier together say which session it is: another identifier is another session.
func (c *Client) ConnectTo(server string, v wire.Version, p *wire.Connect, now time.Time) error {
	c.continuity.beginConnection(SessionID{server, p.ClientID}, p.CleanStart)
	c.noteContinuity()
	// The link opens with CONNACK, which says what the server allows.
	c.link = Link{Version: v, Limits: NoLimits(), packets: c.link.packets}
	c.link.account.on = true
	c.fault = nil
	c.refusals.beginConnection()
	c.decoder.Version = v
	c.phase, c.announced, c.connack = connecting, announcedBy(p), nil
	c.keepAlive = keepAlive{}
	c.authentication = authentication{}
	if p.AuthenticationMethod != "" {
		c.authentication.turn = authServer
	}
	return c.link.Append(p)
}

// Handle takes one packet. The returned error ends the connection: a
// [*wire.Error] or [*ServerError]. A DISCONNECT that tells the server why, if
// it is owed one, then waits in Take.
func (c *Client) Handle(h wire.Header, body []byte, now time.Time) error {
	c.packets++
	return c.handleCounted(h, body, now)
}

func (c *Client) handleCounted(h wire.Header, body []byte, now time.Time) error {
	err := c.handle(h, body, now)
	if err != nil {
		c.fail(err)
		return err
	}
	c.retryRequests()
	return nil
}

// HandleBuffered handles all packets that r has buffered, CONNACK among them, one after
// the other. It is for a caller that uses the Client from one goroutine. A caller that
// guards it with a lock uses [Client.HandleBatch].
func (c *Client) HandleBuffered(r *wire.Reader, now time.Time) error {
	c.keepAlive.alive(now)
	c.Sender.now = now
	for {
		h, body, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		if h.Type == wire.TypePublish && c.phase == connected {
			c.packets++
			if err = c.handlePublish(h, body); err != nil {
				c.fail(err)
			}
		} else {
			err = c.Handle(h, body, now)
		}
		if err != nil {
			return err
		}
	}
}

// Fail ends the connection because of err, which the caller found, for example with
// its [wire.Reader].
func (c *Client) Fail(err error) {
	if fault, ok := errors.AsType[*wire.Error](err); ok && fault.Packet == wire.TypePublish && fault.Reason == wire.PacketTooLarge {
		c.refusals.ended = true
	}
	c.fail(err)
}

// AllowExcess lets the server keep max QoS 1 and 2 messages open on the next
// connections although CONNECT announces fewer.
func (c *Client) AllowExcess(max int) { c.excess = max }

// Connack returns the CONNACK of the connection, or nil before it came.
func (c *Client) Connack() *wire.Connack { return c.connack }

// Version returns the version of the connection.
func (c *Client) Version() wire.Version { return c.link.Version }

// Limits returns what the server allows on this connection.
func (c *Client) Limits() Limits { return c.link.Limits }

// Connected reports whether CONNACK came and the connection has not ended since.
func (c *Client) Connected() bool { return c.phase == connected }

// Pending returns how many bytes wait to be taken.
func (c *Client) Pending() int { return c.link.Pending() }

// Take returns the bytes to write next and continues with spare as its buffer.
// It then fills the buffer with queued messages that did not fit before.
func (c *Client) Take(spare []byte, now time.Time) []byte {
	return c.TakeBefore(nil, spare, now)
}

// TakeBefore is [Client.Take] for a caller that will write the payload of o itself:
// see [Sender.TakePayload].
func (c *Client) TakeBefore(o *Outgoing, spare []byte, now time.Time) []byte {
	b := c.link.takeBefore(o, spare)
	c.link.room.takes(len(b), now)
	if c.link.pinged {
		c.keepAlive.taken()
		c.pings.writing(now)
	}
	c.Sender.counts.writing(now)
	c.Sender.Pump(now)
	return b
}

// Backlog is [Client.Pending] without the part of a large payload that has not been
// copied yet.
func (c *Client) Backlog() int { return len(c.link.buf) + len(c.link.stream.behind) }

// Trim frees memory that busier times have left: the buffer of Take, if it is empty
// and larger than keep bytes, and the memory for received messages.
func (c *Client) Trim(keep int) {
	c.link.Trim(keep)
	c.Receiver.trim()
	if len(c.received) == 0 && cap(c.received) > keptReceived {
		c.received = nil
	}
}

// keptReceived is how many received messages an idle client keeps the memory for.
const keptReceived = 16

// Wrote says that all bytes of the last Take have been written.
func (c *Client) Wrote(now time.Time) {
	c.keepAlive.wrote(now)
	c.link.account.wrote(c.link.account.taken)
	c.link.room.wrote(now)
}

// WroteBytes says how many bytes of the connection have been written in all, CONNECT
// included. It is for a connection that ends in the middle of a write.
func (c *Client) WroteBytes(total uint64) { c.link.account.wrote(total) }

// Alive says that bytes arrived from the server at time now, even if they do
// not yet make a packet.
func (c *Client) Alive(now time.Time) { c.keepAlive.alive(now) }

// Pinging reports whether a PINGREQ has no answer yet, and whether it has been
// written.
func (c *Client) Pinging() (pinging, written bool) {
	return c.keepAlive.ping != pingNone, c.keepAlive.ping == pingSent
}

// DelayPing says that at time now the operating system had not sent the written
// PINGREQ yet, or had just sent it. The time for the server's answer starts at now.
func (c *Client) DelayPing(now time.Time) { c.keepAlive.delay(now) }

// Deadline returns when Tick is to be called, with or without a connection. Zero means
// never.
func (c *Client) Deadline() time.Time {
	due := c.Sender.Deadline()
	if c.phase == connected {
		due = earlier(earlier(due, c.keepAlive.deadline()), c.Sender.suspicion.until)
		due = earlier(earlier(due, c.pingDue()), c.link.stream.held)
	}
	return due
}

// Tick does what is due at time now. ErrKeepAlive ends the connection.
func (c *Client) Tick(now time.Time) error {
	if due := c.Sender.Deadline(); !due.IsZero() && !now.Before(due) {
		c.Sender.DropExpired(now)
		c.Sender.Pump(now)
	}
	if c.phase != connected {
		return nil
	}
	c.link.letGo(now)
	if c.Sender.suspicion.tick(now) {
		if c.Sender.suspicion.lenient {
			c.link.unholdQoS0()
		}
		c.retryRequests()
		c.Sender.Pump(now)
	}
	send, err := c.keepAlive.tick(now)
	if send {
		c.link.appendPing()
	}
	c.sendPing(now)
	if err != nil {
		c.shut()
	}
	return err
}

// Received returns the messages of the packets handled since the last Recycle.
func (c *Client) Received() []Received { return c.received }

// Recycle says that the caller no longer uses what Received returned.
func (c *Client) Recycle() {
	clear(c.received)
	c.received = c.received[:0]
	c.decoder.Recycle()
}

// Answered appends the requests that ended since the last call to dst.
func (c *Client) Answered(dst []*Request) []*Request {
	dst = append(dst, c.requests.answered...)
	c.requests.answered = nil
	return dst
}

// shut stops all further sending.
func (c *Client) shut() {
	c.phase = ended
	c.Subscriptions.ready = false
	c.link.Shut()
}

// fail tells a 5.0 server why the connection ends, if the connection is established
// and the server made the fault.
func (c *Client) fail(err error) {
	was := c.phase
	if c.fault == nil {
		c.fault = err
	}
	c.link.unholdQoS0()
	c.shut()
	c.endAuthentication(err)
	fault, ok := errors.AsType[*wire.Error](err)
	if !ok || was != connected || c.link.Version != wire.V5 {
		return
	}
	c.link.appendChecked(&wire.Disconnect{ReasonCode: fault.Reason})
}
