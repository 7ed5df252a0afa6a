package simulation

import (
	"time"

	"github.com/seed65a45251/mqtt/reconnect"
)

// flaky is a line that breaks n times as soon as everything was sent, and nothing of it
// arrives.
func (d *device) flaky(s *server, n int) {
	for range n {
		if d.connect(s); d.pipe == nil || d.w.fault != nil {
			return
		}
		d.settle(1)
		if p := d.pipe; p != nil {
			p.upDead = true
			d.collect()
			d.cut(0, 1)
		}
	}
}

// loseConnack is a CONNECT that s gets and whose answer gets lost. With forget s has lost its
// sessions before.
func (d *device) loseConnack(s *server, forget bool) {
	d.drop(nil, 0)
	if forget {
		s.forget()
	}
	if d.connect(s); d.pipe == nil {
		return
	}
	d.commit()
	d.collect()
	if p := d.pipe; p != nil {
		p.arriveUp(len(p.up))
		d.cut(0, 1)
	}
}

// hammer is a server that accepts the client and hangs up at once, n times. The client waits
// before each attempt as its back-off says, which has to wait longer each time.
func (d *device) hammer(s *server, n int) {
	if d.pipe != nil {
		return
	}
	policy := reconnect.Policy{Min: time.Second, Max: 30 * time.Second}
	off := reconnect.New(policy, func() float64 { return 0.999 })
	for i := range n {
		delay, _ := off.Next()
		if delay < policy.Ceiling(i)*9/10 {
			d.w.fail("back-off: %s waits only %v before attempt %d", d.name, delay, i+1)
		}
		d.w.wait(delay)
		if d.connect(s); d.pipe == nil || d.w.fault != nil {
			return
		}
		d.settle(1)
		if d.engine.Connected() {
			off.Connected(d.w.now)
		}
		if p := d.pipe; p != nil {
			p.link.end("hangs up at once")
			d.w.hangups++
			p.arriveDown(len(p.down))
		}
		off.Lost(d.w.now)
	}
}
