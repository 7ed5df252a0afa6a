package conformance

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func serverSessionChecks() []serverCheck {
	return []serverCheck{
		of("session goes on", "3.1.2-4 3.2.2-2", "3.1.2-5 3.2.2-3", "a client that returns without Clean Start gets its session, and Session Present says so", (*trial).sessionGoesOn),
		of("session begins", "3.2.2-3", "3.1.2-6 3.2.2-3", "without a session, a client without Clean Start gets a new one, and Session Present is 0", (*trial).sessionBegins),
		of("Clean Start", "3.1.2-6 3.1.4-3 3.2.2-1", "3.1.2-4 3.1.4-4 3.2.2-2", "Clean Start discards the session, and Session Present is 0", (*trial).cleanStart),
		of("sessions have their own identifier", "3.1.3-2", "3.1.3-2", "the client identifier tells sessions apart", (*trial).sessionsApart),
		of("session is kept", "3.1.2-4 4.1.0-1 4.1.0-2", "3.1.2-23 4.1.0-1 4.1.0-2", "subscriptions stay while the client is away", (*trial).sessionIsKept),
		of("session ends with its connection", "3.1.2-6", "3.1.2-23 4.1.0-1", "a session that is not to outlive its connection does not", (*trial).sessionEnds),
		of("session expires", "", "3.1.2-23 4.1.0-2", "a session is kept for its expiry interval and not much longer", (*trial).sessionExpires),
		of("DISCONNECT changes the expiry", "", "§3.14.2.2.2", "a Session Expiry Interval in DISCONNECT replaces that of CONNECT", (*trial).expiryInDisconnect),
	}
}

func (p *caller) wantPresent(present bool, when string) {
	if p.connack.SessionPresent != present {
		p.t.fail("Session Present is %v %s", p.connack.SessionPresent, when)
	}
}

func (t *trial) sessionGoesOn() {
	t.joinAs("a", keep).leave()
	again := t.joinAs("a", keep)
	again.wantPresent(true, "for a session that exists")
	again.drop()
	t.joinAs("a", keep).wantPresent(true, "after the connection was cut")
}

func (t *trial) sessionBegins() {
	p := t.joinAs("a", keep)
	p.wantPresent(false, "for an identifier that was never seen")
	p.alive()
}

func (t *trial) cleanStart() {
	p := t.joinAs("a", keep)
	p.subscribe(filter(t.topic("a"), 1))
	p.leave()
	again := t.joinAs("a")
	again.wantPresent(false, "after Clean Start")
	t.joinAs("b").publish(t.topic("a"), "x", 0)
	again.quiet("Clean Start has removed the subscription")
	again.leave()
	t.joinAs("a", keep).wantPresent(false, "after a session that ended with its connection")
}

func (t *trial) sessionsApart() {
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 0))
	b.publish(t.topic("a"), "x", 0)
	a.expect(t.topic("a"), "x")
	b.quiet("only the other client has subscribed")
}

func (t *trial) sessionIsKept() {
	p := t.joinAs("a", keep)
	p.subscribe(filter(t.topic("a"), 1))
	p.leave()
	again := t.joinAs("a", keep)
	t.joinAs("b").publish(t.topic("a"), "x", 1)
	again.expect(t.topic("a"), "x")
}

func (t *trial) sessionEnds() {
	p := t.joinAs("a")
	p.subscribe(filter(t.topic("a"), 1))
	p.leave()
	again := t.joinAs("a", keep)
	again.wantPresent(false, "after a session that was to end with its connection")
	t.joinAs("b").publish(t.topic("a"), "x", 1)
	again.quiet("the subscription has ended with its session")
}

func (t *trial) sessionExpires() {
	expiring := func(c *wire.Connect) { c.CleanStart, c.SessionExpiryInterval = false, 3 }
	t.joinAs("a", expiring).leave()
	again := t.joinAs("a", expiring)
	again.wantPresent(true, "at once after the client has left a session of 3 s")
	if e := again.connack.SessionExpiryInterval; e != nil && *e > 3 {
		t.unobserved("the server has set the interval to %d s", *e)
	}
	again.leave()
	// Servers look for expired sessions now and then. Four seconds more are patience enough.
	t.wait(7 * time.Second)
	t.joinAs("a", expiring).wantPresent(false, "7 s after the client has left a session of 3 s")
}

func (t *trial) expiryInDisconnect() {
	p := t.joinAs("a", keep)
	p.send(&wire.Disconnect{SessionExpiryInterval: new(uint32)})
	for {
		if _, err := p.read(t.s.Patience); err != nil {
			break
		}
	}
	t.joinAs("a", keep).wantPresent(false, "after a DISCONNECT that set the interval to 0")
}
