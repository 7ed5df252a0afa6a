package conformance

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// lateness is how long after its time a ping may come: servers wait for one and a half
// times the interval, and the machine may be busy.
const lateness = 3 * time.Second

// clientKeepAlive has the statements about the keep-alive interval.
func clientKeepAlive() []clientCheck {
	return []clientCheck{
		rule("keep-alive", ids("MQTT-3.1.2-23"), ids("MQTT-3.1.2-20"),
			"with nothing else to send, PINGREQ goes out before the keep-alive interval is over",
			func(s *script) {
				op := s.connect()
				op.KeepAlive = 1
				p := s.quiet(op, &wire.Connack{})
				for range 2 {
					s.pings(p, time.Second)
					p.raw("D0 00")
				}
			}),
		rule("keep-alive-received", ids("MQTT-3.1.2-23"), ids("§3.1.2.10"),
			"only sent packets count: a client that receives messages all the time sends PINGREQ",
			func(s *script) {
				op := s.connect()
				op.KeepAlive = 1
				p := s.quiet(op, &wire.Connack{})
				end := time.Now().Add(time.Second + lateness)
				for time.Now().Before(end) {
					p.send(&wire.Publish{Topic: s.topic("a")})
					if f, ok := p.within(100 * time.Millisecond); ok {
						if f.packet == nil || f.packet.Type() != wire.TypePingreq {
							s.fails("want PINGREQ, got %v", f)
						}
						return
					}
				}
				s.fails("no PINGREQ within %v", time.Second+lateness)
			}),
		rule("server-keep-alive", nil, ids("MQTT-3.1.2-21", "MQTT-3.2.2-21"),
			"Server Keep Alive replaces the client's value",
			func(s *script) {
				p := s.quiet(s.connect(), &wire.Connack{ServerKeepAlive: new(uint16(1))})
				s.pings(p, time.Second)
			}),
		rule("server-keep-alive-0", nil, ids("MQTT-3.1.2-21", "MQTT-3.2.2-21"),
			"a Server Keep Alive of 0 switches it off",
			func(s *script) {
				op := s.connect()
				op.KeepAlive = 1
				s.unpinged(op, &wire.Connack{ServerKeepAlive: new(uint16(0))})
			}),
		rule("keep-alive-0", ids("§3.1.2.10"), ids("§3.1.2.10"),
			"a keep-alive of 0 switches it off",
			func(s *script) {
				op := s.connect()
				op.KeepAlive = 0
				s.unpinged(op, &wire.Connack{})
			}),
		rule("keep-alive-asked-again", nil, ids("§3.1.2.10"),
			"the next CONNECT has the value that the program asked for",
			func(s *script) {
				op := s.lasting()
				p := s.resume(s.dial(op, &wire.Connack{ServerKeepAlive: new(uint16(30))}), op, present())
				if got := int(p.connect.KeepAlive); got != op.KeepAlive {
					s.advised("it has %d, not %d", got, op.KeepAlive)
				}
			}),
		rule("pingresp-missing", ids("§3.1.2.10", "MQTT-3.12.4-1"), ids("§3.1.2.10", "MQTT-3.12.4-1"),
			"a client that gets no PINGRESP within a reasonable time closes the connection",
			func(s *script) {
				op := s.connect()
				op.KeepAlive = 1
				p := s.quiet(op, &wire.Connack{})
				for end := time.Now().Add(2 * s.patience); time.Now().Before(end); {
					if f, _ := p.within(time.Until(end)); f.ended {
						return
					}
				}
				s.advised("it waits for more than %v", 2*s.patience)
			}),
		rule("pingresp-unasked", ids("§3.13"), ids("§3.13"),
			"a PINGRESP that was not asked for does no harm",
			func(s *script) {
				p := s.open()
				p.raw("D0 00 D0 00")
				if before := p.until(p.mark()); len(before) > 0 {
					s.remark("ends the connection")
				}
			}),
	}
}

// quiet connects a client to a server that does not answer PINGREQ.
func (s *script) quiet(op Operation, ack *wire.Connack) *peer {
	c := s.begin(op)
	p := s.accept(c)
	p.mute.Store(true)
	p.send(ack)
	c.succeeds()
	return p
}

// pings waits for PINGREQ.
func (s *script) pings(p *peer, interval time.Duration) {
	f, ok := p.within(interval + lateness)
	switch {
	case !ok:
		s.fails("no PINGREQ within %v", interval+lateness)
	case f.packet == nil || f.packet.Type() != wire.TypePingreq:
		s.fails("want PINGREQ, got %v", f)
	}
}

// unpinged sees whether a client pings that need not.
func (s *script) unpinged(op Operation, ack *wire.Connack) {
	p := s.quiet(op, ack)
	f, ok := p.within(2 * time.Second)
	switch {
	case !ok:
		p.alive()
	case f.ended:
		s.fails("the client ends the connection")
	case f.packet.Type() == wire.TypePingreq:
		s.remark("sends PINGREQ all the same")
	default:
		s.fails("want nothing, got %v", f)
	}
}
