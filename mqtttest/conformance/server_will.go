package conformance

import (
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func serverWillChecks() []serverCheck {
	return []serverCheck{
		of("will after a cut", "3.1.2-8", "3.1.2-7 3.1.2-8", "the will is published when the connection ends without DISCONNECT", (*trial).willAfterCut),
		of("will after a fault", "3.1.2-8", "3.1.2-8", "the will is published when the server ends the connection because of a fault", (*trial).willAfterFault),
		of("will after silence", "3.1.2-8 3.1.2-24", "3.1.2-8 3.1.2-22", "the will is published when the keep-alive runs out", (*trial).willAfterSilence),
		of("will after a take-over", "3.1.2-8", "3.1.2-8", "the will is published when another client takes the identifier over with a new session", (*trial).willAfterTakeOver),
		of("will once", "3.1.2-10", "3.1.2-10", "a will is published once", (*trial).willOnce),
		of("no will", "3.1.2-12", "§3.1.2.5", "a client without a will publishes none", (*trial).noWill),
		of("will as it was given", "3.1.2-16 3.1.2-17", "3.1.2-14 3.1.2-15", "the will has its topic, payload and QoS, and is retained only if it says so", (*trial).willRetain),
		of("empty will", "§3.1.3.3", "§3.1.3.4", "a will may have no payload", (*trial).emptyWill),
		of("properties of the will", "", "3.1.3-10", "the will has its properties, user properties in their order", (*trial).willProperties),
		of("will delay", "", "3.1.2-8", "the will is published after its delay", (*trial).willDelay),
		of("return within the will delay", "", "3.1.3-9", "the will is not published if the client comes back within its delay", (*trial).willWithdrawn),
		of("will and end of session", "", "3.1.2-8", "the will is published when the session ends, if that is before its delay is over", (*trial).willAtSessionEnd),
	}
}

func (t *trial) willAfterCut() {
	witness, p := t.mortal()
	p.alive()
	witness.alive()
	if len(witness.inbox) > 0 {
		t.fail("the will is published while its client is connected")
	}
	p.drop()
	witness.expect(t.topic("will"), "last words")
}

func (t *trial) willAfterFault() {
	witness, p := t.mortal()
	p.raw([]byte{0, 0})
	p.closed("a packet of type 0")
	witness.expect(t.topic("will"), "last words")
}

func (t *trial) willAfterSilence() {
	witness, p := t.mortal(func(c *wire.Connect) { c.KeepAlive = 1 })
	if k := p.connack.ServerKeepAlive; k != nil && *k > 4 {
		t.unobserved("the server has set the interval to %d s", *k)
	}
	witness.expect(t.topic("will"), "last words")
}

func (t *trial) willAfterTakeOver() {
	witness, _ := t.mortal()
	t.joinAs("a").alive()
	witness.expect(t.topic("will"), "last words")
}

func (t *trial) willOnce() {
	witness, p := t.mortal()
	p.drop()
	witness.expect(t.topic("will"), "last words")
	t.joinAs("a").drop() // without a will
	witness.quiet("the will was published before")
}

func (t *trial) noWill() {
	t.needsWildcards()
	witness := t.fresh("w", filter(t.topic("#"), 0))
	p := t.joinAs("a")
	p.alive()
	p.drop()
	witness.quiet("the client had no will")
}

func (t *trial) willRetain() {
	witness, p := t.mortal()
	p.drop()
	if m := witness.expect(t.topic("will"), "last words"); m.QoS != t.s.highest(t.version, 1) {
		t.fail("a will of QoS 1 comes with QoS %d", m.QoS)
	}
	t.fresh("n", filter(t.topic("will"), 0)).quiet("the will was not to be retained")
	t.needsRetain()
	p = t.joinAs("a", func(c *wire.Connect) {
		c.Will = &wire.Will{Topic: t.topic("will"), Payload: []byte("kept"), Retain: true, QoS: t.s.highest(t.version, 1)}
	})
	t.retained = append(t.retained, t.topic("will"))
	p.drop()
	witness.expect(t.topic("will"), "kept")
	if !t.fresh("r", filter(t.topic("will"), 0)).expect(t.topic("will"), "kept").Retain {
		t.fail("a retained will comes without RETAIN to a new subscription")
	}
}

func (t *trial) emptyWill() {
	witness, p := t.mortal(func(c *wire.Connect) { c.Will.Payload = nil })
	p.drop()
	witness.expect(t.topic("will"), "")
}

func (t *trial) willProperties() {
	sent := fullProperties()
	witness, p := t.mortal(func(c *wire.Connect) {
		c.Will.PayloadFormatUTF8, c.Will.ContentType, c.Will.ResponseTopic = true, sent.ContentType, sent.ResponseTopic
		c.Will.CorrelationData, c.Will.UserProperties = sent.CorrelationData, slices.Clone(sent.UserProperties)
	})
	p.drop()
	t.sameProperties(witness.expect(t.topic("will"), "last words"))
}

func (t *trial) willDelay() {
	witness, p := t.mortal(keep, func(c *wire.Connect) { c.Will.DelayInterval = 2 })
	begin := time.Now()
	p.drop()
	witness.expect(t.topic("will"), "last words")
	if took := time.Since(begin); took < 1500*time.Millisecond {
		t.fail("a will with a delay of 2 s is published before that")
	}
}

func (t *trial) willWithdrawn() {
	witness, p := t.mortal(keep, func(c *wire.Connect) { c.Will.DelayInterval = 3 })
	p.drop()
	again := t.joinAs("a", keep)
	again.wantPresent(true, "after the connection was cut")
	t.wait(4500 * time.Millisecond)
	witness.quiet("the client has come back within the will delay")
}

func (t *trial) willAtSessionEnd() {
	witness, p := t.mortal(func(c *wire.Connect) { c.Will.DelayInterval = 300 })
	p.drop()
	witness.expect(t.topic("will"), "last words")
}
