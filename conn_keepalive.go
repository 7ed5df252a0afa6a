package mqtt

import (
	"context"
	"time"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/session"
)

// keepAlive sends pings and notices a server that does not answer. It also looks after
// memory that an idle connection does not need, and after the age of the connection.
func (k *conn) keepAlive(ctx context.Context) error {
	timer := time.NewTimer(trimInterval) // until tick sets it
	defer timer.Stop()
	k.engine.mu.Lock()
	k.timer = timer
	k.engine.mu.Unlock()
	for {
		if err := k.tick(); err != nil {
			return err
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tickLocked makes keepAlive look at once, because there may be less time than when it
// looked last. Before it begins it will look anyway.
func (k *conn) tickLocked() {
	if k.timer != nil {
		k.timer.Reset(0)
	}
}

// tick queues a ping if one is due, which wakes the writer, and sets the timer to when to
// come again. It does so under the lock, as tickLocked does, so that none is forgotten.
func (k *conn) tick() error {
	taken, known := k.nc.Taken()
	now := time.Now()
	heard := k.nc.Heard()
	if k.receiver.waiting() {
		heard = now
	}
	k.engine.mu.Lock()
	k.engine.Alive(heard)
	if known && k.ping.moves(k.engine.Client, taken) {
		k.engine.DelayPing(now)
	}
	err := k.engine.Tick(now)
	due := k.engine.Deadline()
	look := known && k.ping.look(k.engine.Client)
	k.trimLocked()
	wait := trimInterval
	if !due.IsZero() {
		wait = min(wait, due.Sub(now))
	}
	if look {
		wait = min(wait, pingLook)
	}
	old := k.grownOld(now)
	if k.age > 0 {
		wait = min(wait, k.age-now.Sub(k.start))
	}
	k.timer.Reset(wait)
	k.engine.unlockPooled()
	if old {
		k.retire(k)
	}
	return err
}

// ping follows a PINGREQ through what the operating system has still to send. A slow
// line may need longer for that than the server may take to answer, so that time
// begins when the PINGREQ has left.
type ping struct {
	end     int64 // of its last byte, in what was sent; 0: it is not written, or there is none
	taken   int64 // of what was sent, when we last looked
	waiting bool  // it had not left when we last looked
	left    bool  // it has
}

// pingLook is how often is looked where the PINGREQ is.
const pingLook = time.Second

// wrote notes where the PINGREQ is, if it was just written.
func (p *ping) wrote(engine *session.Client, nc *transport.Conn) {
	if _, written := engine.Pinging(); written && p.end == 0 {
		p.end = nc.Sent()
	}
}

// moves reports whether the PINGREQ has come nearer to the server since moves was last
// called, given how many bytes have left.
func (p *ping) moves(engine *session.Client, taken int64) bool {
	if _, written := engine.Pinging(); !written {
		*p = ping{}
		return false
	}
	before := *p
	p.taken = max(taken, before.taken) // what is just being written may not be counted yet
	p.waiting = p.taken < p.end
	p.left = !p.waiting
	return before.waiting && p.taken > before.taken
}

// look reports whether moves is to be called soon.
func (p *ping) look(engine *session.Client) bool {
	pinging, _ := engine.Pinging()
	return pinging && !p.left
}
