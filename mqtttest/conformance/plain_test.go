package conformance

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// plain is a small client that checks nothing: it sends what it is asked for, and
// passes over what is wrong. It keeps no session and no limits.
type plain struct {
	events *mailbox[Event]
	bad    misbehaviour

	sending sync.Mutex // held while a packet is written

	mu      sync.Mutex    // guards what follows
	conn    net.Conn      // nil: none
	read    chan struct{} // closed when nothing more is read from it
	version wire.Version
	method  string
	waiting map[uint16]chan<- Answer // by packet identifier
	again   chan Answer              // gets the end of a re-authentication
	next    uint16
	kept    [][]byte // messages that were published
}

// misbehaviour is what a plain client does wrong.
type misbehaviour struct {
	send      func(b []byte) []byte // changes what is sent; nil: not sent
	event     func(e *Event) bool   // changes what is reported; false: not reported
	answer    func(op string, a Answer) Answer
	accepts   bool // a refusal counts as success
	sameID    bool // each request has the identifier 1
	confused  bool // each packet of the server completes all requests
	staysOpen bool // the connection stays when the server has ended it
	remembers bool // what has no answer is sent again on the next connection, whatever it is
	resends   bool // what has no answer is sent again soon
	doubles   bool // repeats at QoS 2 are reported
	silent    bool // sends no PINGREQ
}

func newPlain(bad misbehaviour) *plain { return &plain{events: newMailbox[Event](), bad: bad} }

func (c *plain) Hello() Hello {
	return Hello{Name: "plain", Versions: []int{4, 5}, Transports: []string{"mqtt"}}
}

func (c *plain) Events() <-chan Event { return c.events.out }

func (c *plain) Close() error {
	c.hangUp()
	c.events.close()
	return nil
}

// hangUp ends the connection. Nothing is reported of it after that.
func (c *plain) hangUp() {
	c.mu.Lock()
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
	read := c.read
	c.mu.Unlock()
	if read != nil {
		<-read
	}
}

// Do implements Client.
func (c *plain) Do(ctx context.Context, op Operation) (Answer, error) {
	a := c.do(ctx, op)
	if c.bad.answer != nil {
		a = c.bad.answer(op.Op, a)
	}
	return a, nil
}

func (c *plain) do(ctx context.Context, op Operation) Answer {
	switch op.Op {
	case "connect":
		return c.connect(op)
	case "publish":
		return c.publish(ctx, op)
	case "subscribe", "unsubscribe":
		id, answer := c.request()
		c.send(c.filters(op, id))
		return await(ctx, answer)
	case "reauthenticate":
		again := make(chan Answer, 1)
		c.mu.Lock()
		c.again = again
		c.mu.Unlock()
		c.send(c.auth(0x19, ""))
		return await(ctx, again)
	case "disconnect":
		c.send(c.leave(op))
	}
	c.hangUp() // disconnect, reset
	if op.Op == "reset" {
		c.events.drop()
	}
	return Answer{OK: true}
}

func await(ctx context.Context, answer <-chan Answer) Answer {
	select {
	case a := <-answer:
		return a
	case <-ctx.Done():
		return Answer{Error: "no answer"}
	}
}

// request takes an identifier.
func (c *plain) request() (uint16, <-chan Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next++; c.bad.sameID {
		c.next = 1
	}
	answer := make(chan Answer, 1)
	c.waiting[c.next] = answer
	return c.next, answer
}

func (c *plain) publish(ctx context.Context, op Operation) Answer {
	if p := op.Properties; p != nil && (p.SubscriptionIdentifiers != nil || op.QoS > 2) {
		return Answer{Unsupported: true}
	}
	var id uint16
	answered := make(<-chan Answer)
	if op.QoS > 0 {
		id, answered = c.request()
	}
	b := c.message(op, id)
	if c.bad.remembers {
		c.kept = append(c.kept, b)
	}
	if c.send(b); op.QoS == 0 || !op.Wait {
		if c.bad.resends {
			time.AfterFunc(time.Second, func() { c.send(b) })
		}
		return Answer{OK: true}
	}
	return await(ctx, answered)
}

func (c *plain) send(b []byte) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		c.sendTo(conn, b)
	}
}

func (c *plain) sendTo(conn net.Conn, b []byte) {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.bad.send != nil {
		b = c.bad.send(b)
	}
	_, _ = conn.Write(b)
}

// plainLink is one connection of a plain client.
type plainLink struct {
	c       *plain
	conn    net.Conn
	version wire.Version
	seen    map[uint16]bool // identifiers of messages at QoS 2
}

func (l *plainLink) send(b []byte) { l.c.sendTo(l.conn, b) }

// connect takes whatever the server sends first for a CONNACK.
func (c *plain) connect(op Operation) Answer {
	conn, err := net.Dial("tcp", strings.TrimPrefix(op.URL, "mqtt://"))
	if err != nil {
		return Answer{Error: err.Error()}
	}
	first := make(chan []byte, 1)
	c.mu.Lock()
	read := make(chan struct{})
	c.conn, c.read, c.version, c.waiting = conn, read, wire.Version(op.Version), map[uint16]chan<- Answer{}
	if c.method = ""; op.Auth != nil {
		c.method = op.Auth.Method
	}
	c.mu.Unlock()
	c.send(c.hello(op))
	l := &plainLink{c, conn, c.version, map[uint16]bool{}}
	go func() {
		defer close(read)
		l.read(first)
	}()
	b, ok := <-first
	switch {
	case !ok:
		return Answer{Error: "the server closes the connection"}
	case len(b) > 3 && b[3] != 0 && b[0] == 0x20 && !c.bad.accepts:
		if !c.bad.staysOpen {
			c.hangUp()
		}
		return Answer{Error: "refused", Code: int(b[3])}
	}
	for _, b := range c.kept {
		c.send(append([]byte{b[0] | 8}, b[1:]...))
	}
	if op.KeepAlive > 0 && !c.bad.silent {
		go c.ping(conn, time.Duration(op.KeepAlive)*time.Second*3/4)
	}
	return Answer{OK: true, Present: len(b) > 2 && b[2] == 1}
}

// ping sends PINGREQ until the connection ends.
func (c *plain) ping(conn net.Conn, interval time.Duration) {
	for {
		time.Sleep(interval)
		if _, err := conn.Write([]byte{0xC0, 0}); err != nil {
			return
		}
	}
}

// read answers what the server sends, and passes over what it cannot read.
func (l *plainLink) read(first chan<- []byte) {
	c := l.c
	r := bufio.NewReader(l.conn)
	decoder := wire.Decoder{Version: l.version, Tolerate: func(*wire.Error) {}}
	connected := false
	for {
		raw, err := readPacket(r)
		if err != nil && len(raw) == 0 {
			if close(first); connected {
				c.events.put(Event{Event: "disconnected"})
			}
			return
		}
		h, n, err := wire.ParseHeader(raw, l.version)
		var packet wire.Packet
		if err == nil {
			packet, err = decoder.Decode(h, raw[n:])
		}
		if auth, ok := packet.(*wire.Auth); ok {
			l.takeAuth(auth)
		} else if !connected {
			connected = true
			first <- raw
		} else if raw[0]>>4 == byte(wire.TypeDisconnect) && !c.bad.staysOpen {
			code := 0
			if len(raw) > 2 {
				code = int(raw[2])
			}
			c.events.put(Event{Event: "disconnected", Code: code})
			l.conn.Close()
		} else if err != nil && len(raw) > 3 {
			c.complete(binary.BigEndian.Uint16(raw[2:]), Answer{OK: true})
		} else {
			l.take(packet)
		}
	}
}

func (l *plainLink) takeAuth(a *wire.Auth) {
	c := l.c
	if a.ReasonCode == wire.Success {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.again != nil {
			c.again <- Answer{OK: true}
		}
		return
	}
	l.send(c.auth(0x18, "re:"+string(a.AuthenticationData)))
}

// complete ends the request with that identifier.
func (c *plain) complete(id uint16, a Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other, answer := range c.waiting {
		if other == id || c.bad.confused {
			delete(c.waiting, other)
			answer <- a
		}
	}
}

func ended(code wire.ReasonCode) Answer { return Answer{OK: !code.Failed(), Code: int(code)} }

func (l *plainLink) take(packet wire.Packet) {
	c := l.c
	switch p := packet.(type) {
	case *wire.Publish:
		l.deliver(p)
	case *wire.Puback:
		c.complete(p.PacketID, ended(p.ReasonCode))
	case *wire.Pubrec:
		if p.ReasonCode.Failed() {
			c.complete(p.PacketID, ended(p.ReasonCode))
			return
		}
		l.send(ackOf(0x62, p.PacketID))
	case *wire.Pubrel:
		delete(l.seen, p.PacketID)
		l.send(ackOf(0x70, p.PacketID))
	case *wire.Pubcomp:
		c.complete(p.PacketID, ended(p.ReasonCode))
	case *wire.Suback:
		c.complete(p.PacketID, Answer{OK: true, Codes: codesOf(p.ReasonCodes)})
	case *wire.Unsuback:
		c.complete(p.PacketID, Answer{OK: true, Codes: codesOf(p.ReasonCodes)})
	}
}

func codesOf(codes []wire.ReasonCode) (all []int) {
	for _, code := range codes {
		all = append(all, int(code))
	}
	return all
}

func (l *plainLink) deliver(p *wire.Publish) {
	c := l.c
	e := Event{Event: "message", Topic: p.Topic, PayloadBase64: slices.Clone(p.Payload), QoS: int(p.QoS), Retain: p.Retain, Dup: p.Duplicate}
	if q := p.Properties; q != nil {
		e.Properties = &Properties{ContentType: q.ContentType, ResponseTopic: q.ResponseTopic, Correlation: q.CorrelationData, MessageExpiry: q.MessageExpiryInterval}
		for _, u := range q.UserProperties {
			e.Properties.UserProperties = append(e.Properties.UserProperties, [2]string{u.Name, u.Value})
		}
		for _, id := range q.SubscriptionIDs {
			e.Properties.SubscriptionIdentifiers = append(e.Properties.SubscriptionIdentifiers, int(id))
		}
	}
	repeated := p.QoS == 2 && l.seen[p.PacketID]
	if p.QoS == 2 {
		l.seen[p.PacketID] = true
	}
	if (!repeated || c.bad.doubles) && (c.bad.event == nil || c.bad.event(&e)) {
		c.events.put(e)
	}
	switch p.QoS {
	case 1:
		l.send(ackOf(0x40, p.PacketID))
	case 2:
		l.send(ackOf(0x50, p.PacketID))
	}
}
