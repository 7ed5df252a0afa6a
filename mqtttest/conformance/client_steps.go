package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// either returns the text for the version of the check.
func (s *script) either(v311, v5 string) string {
	if s.v5() {
		return v5
	}
	return v311
}

// again ends the client, so that the next connection is that of a new one.
func (s *script) again() {
	s.do(Operation{Op: "reset"})
	drain(s.client.Events())
	s.messages = nil
}

// subscribe has the client subscribe, and grants what it asks for.
func (s *script) subscribe(p *peer, filter string, qos int) *wire.Subscribe {
	c := s.begin(Operation{Op: "subscribe", Filters: []Filter{{Filter: filter, QoS: qos}}})
	packet := want[*wire.Subscribe](p)
	p.send(granted(packet))
	if a := c.wait(); !a.OK {
		s.fails("subscribe: %s", a.Error)
	}
	return packet
}

// granted returns the SUBACK that grants what was asked for.
func granted(p *wire.Subscribe) *wire.Suback {
	ack := &wire.Suback{PacketID: p.PacketID}
	for _, f := range p.Filters {
		ack.ReasonCodes = append(ack.ReasonCodes, wire.ReasonCode(f.QoS))
	}
	return ack
}

// listening returns a connection whose client has subscribed to everything of the
// check.
func (s *script) listening() *peer {
	p := s.open()
	s.subscribe(p, s.topic("#"), 2)
	return p
}

// message waits for a message on a topic of the check.
func (s *script) message(rest string) Event {
	for {
		e := s.event("message")
		if e.Topic == s.topic("mark") {
			continue
		}
		if e.Topic != s.topic(rest) {
			s.fails("a message on %q, not on %q", e.Topic, s.topic(rest))
		}
		return e
	}
}

// publish has the client publish a message in the background and takes its PUBLISH.
func (s *script) publish(p *peer, rest string, qos int) *wire.Publish {
	s.do(Operation{Op: "publish", Topic: s.topic(rest), Payload: rest, QoS: qos})
	return s.published(p, rest, qos)
}

// published takes the PUBLISH of a message.
func (s *script) published(p *peer, rest string, qos int) *wire.Publish {
	packet := want[*wire.Publish](p)
	if packet.Topic != s.topic(rest) || int(packet.QoS) != qos {
		s.fails("PUBLISH has topic %q and QoS %d, not %q and %d", packet.Topic, packet.QoS, s.topic(rest), qos)
	}
	return packet
}

// publishing has the client publish a message whose end the check waits for, and takes
// its PUBLISH.
func (s *script) publishing(p *peer, rest string, qos int) (*call, *wire.Publish) {
	c := s.begin(Operation{Op: "publish", Topic: s.topic(rest), Payload: rest, QoS: qos, Wait: true})
	return c, s.published(p, rest, qos)
}

// succeeds waits for an operation that has to succeed.
func (c *call) succeeds() Answer {
	a := c.wait()
	if !a.OK {
		c.s.fails("%s: %s", c.op, a.Error)
	}
	return a
}

// failsWith waits for an operation that has to fail with that code.
func (c *call) failsWith(code wire.ReasonCode) Answer {
	a := c.wait()
	if a.OK && a.Code != int(code) {
		c.s.fails("%s reports success", c.op)
	}
	if a.Code != int(code) {
		c.s.remark("the error does not show the code")
	}
	return a
}

// undone ends the check if the operation has ended already.
func (c *call) undone() {
	select {
	case a := <-c.answer:
		if a = c.take(a); a.OK {
			c.s.fails("%s is reported as done", c.op)
		}
		c.s.remark("%s fails", c.op)
	case <-time.After(grace / 2): // a client may report later than it answers the server
	}
}

// lasting returns the operation that connects with a session that outlives the
// connection.
func (s *script) lasting() Operation {
	op := s.connect()
	op.Clean, op.Reconnect = false, s.has("reconnect")
	if s.v5() {
		op.Expiry = 3600
	}
	return op
}

// resume breaks the connection and returns the next one, which was answered with ack.
// op is the operation that connected the client.
func (s *script) resume(p *peer, op Operation, ack *wire.Connack) *peer {
	p.reset()
	if op.Reconnect {
		p = s.accept(nil)
		p.grants = true
		p.send(ack)
		return p
	}
	c := s.begin(op)
	p = s.accept(c)
	p.grants = true
	p.send(ack)
	c.succeeds()
	return p
}

// present is the CONNACK of a session that goes on.
func present() *wire.Connack { return &wire.Connack{SessionPresent: true} }

// refusedConnect has the client connect in a way that it has to refuse, or to change so
// that it is not wrong.
func (s *script) refusedConnect(op Operation) {
	c := s.begin(op)
	incoming := s.incoming()
	select {
	case a := <-c.answer:
		if a = c.take(a); a.OK {
			s.remark("reports no error")
		}
		_ = s.listener.Close()
	case a := <-incoming:
		if a.err != nil {
			s.fails("no connection: %v", a.err)
		}
		p := newPeer(s, a.conn)
		s.peers = append(s.peers, p)
		switch f := p.next(); {
		case f.ended:
		case f.packet.Type() == wire.TypeConnect:
			// The decoder finds nothing wrong with it.
			s.remark("CONNECT is changed")
			p.send(&wire.Connack{})
		default:
			s.fails("the client sends %v", f)
		}
		c.wait()
	}
}

// packets is a text for each version, as hexadecimal bytes with an optional comment
// before a colon.
type packets struct{ v311, v5 []string }

func (s *script) of(all packets) []string {
	if s.v5() {
		return all.v5
	}
	return all.v311
}

// both is the same for both versions.
func both(texts ...string) packets { return packets{texts, texts} }

// each has the check see every packet on a connection of its own.
func (s *script) each(all packets, see func(text string)) {
	for i, text := range s.of(all) {
		if i > 0 {
			s.again()
		}
		comment, bytes, found := strings.Cut(text, ":")
		if s.doing = comment; !found {
			bytes = text
		}
		see(bytes)
	}
	s.doing = ""
}

// wrong makes a check of packets that the server must not send. Each ends the
// connection.
func wrong(name string, v311, v5 []string, text string, all packets, codes ...wire.ReasonCode) clientCheck {
	return rule(name, v311, v5, text, func(s *script) {
		s.each(all, func(bytes string) {
			p := s.open()
			p.raw(bytes)
			p.bye(codes...)
		})
	})
}

// wrongConnack makes a check of answers to CONNECT that the server must not give.
func wrongConnack(name string, v311, v5 []string, text string, all packets, codes ...wire.ReasonCode) clientCheck {
	return rule(name, v311, v5, text, func(s *script) {
		s.each(all, func(bytes string) { s.wrongAnswer(s.connect(), bytes, codes) })
	})
}

// wrongAnswer answers CONNECT with bytes that end the attempt.
func (s *script) wrongAnswer(op Operation, bytes string, codes []wire.ReasonCode) {
	c := s.begin(op)
	p := s.accept(c)
	p.raw(bytes)
	var said *wire.Disconnect
	for ended := false; !ended; {
		select {
		case f := <-p.frames.out:
			if d, ok := f.packet.(*wire.Disconnect); ok {
				said = d
			}
			ended = f.ended
		case a := <-c.answer:
			if a = c.take(a); a.OK && !p.endsSoon(&said) {
				p.goesOn()
			}
			if ended = true; a.OK {
				s.remark("connect reports success first")
			} else if !p.endsSoon(&said) {
				s.endsNothing("leaves the connection open")
			}
		case <-time.After(s.patience):
			s.endsNothing("does nothing")
		}
	}
	p.left(said, codes)
	c.wait()
}

// endsNothing ends the check of a client that does not end its connection after a
// fault. The text of 5.0 only advises clients to.
func (s *script) endsNothing(what string) {
	if s.v5() {
		s.advised("%s", what)
	}
	s.fails("%s", what)
}

// wrongAck makes a check of acknowledgements that the server must not send for
// something that the client does. In the texts IIII is the packet identifier.
func wrongAck(name string, v311, v5 []string, text string, op func(*script) Operation, all packets, codes ...wire.ReasonCode) clientCheck {
	return rule(name, v311, v5, text, func(s *script) {
		s.each(all, func(bytes string) {
			p := s.open()
			c := s.begin(op(s))
			p.raw(strings.ReplaceAll(bytes, "IIII", fmt.Sprintf("%04X", packetID(p.next().packet))))
			p.bye(codes...)
			if a := c.wait(); a.OK && len(a.Codes) == 0 {
				s.fails("%s reports success", c.op)
			}
		})
	})
}

// packetID returns the identifier of a request.
func packetID(p wire.Packet) uint16 {
	switch p := p.(type) {
	case *wire.Publish:
		return p.PacketID
	case *wire.Subscribe:
		return p.PacketID
	case *wire.Unsubscribe:
		return p.PacketID
	}
	return 0
}

// The operations that checks of acknowledgements begin with.
func publishQoS1(s *script) Operation {
	return Operation{Op: "publish", Topic: s.topic("a"), QoS: 1, Wait: true}
}

func subscribeTo(filters ...string) func(*script) Operation {
	return func(s *script) Operation {
		op := Operation{Op: "subscribe"}
		for _, f := range filters {
			op.Filters = append(op.Filters, Filter{Filter: s.topic(f), QoS: 2})
		}
		return op
	}
}

func unsubscribeFrom(filters ...string) func(*script) Operation {
	return func(s *script) Operation {
		op := subscribeTo(filters...)(s)
		op.Op = "unsubscribe"
		return op
	}
}

// choice makes a check of something that the text leaves to the client: it takes what
// came, or ends the connection.
func choice(name string, v311, v5 []string, text string, all packets) clientCheck {
	return rule(name, v311, v5, text, func(s *script) {
		s.each(all, func(bytes string) {
			p := s.listening()
			p.raw(bytes)
			if before := p.until(p.mark()); slices.ContainsFunc(before, func(f frame) bool { return f.ended }) {
				s.remark("ends the connection")
			}
		})
	})
}
