package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// A write begins with take and ends with wrote. In between the connection is busy,
// and whoever adds packets leaves them to the one who writes. That is the writer,
// or, on a socket, somebody who would only wake the writer and then wait for what
// comes back: a publisher that is alone or has a large payload, the reader. They
// write as much as the socket takes without waiting, outside all locks, and leave
// the rest to the writer, so that neither their context nor their time depends on
// the network.

// lead reports whether the caller is to write what waits, which he thereby
// promises. Called with engine.mu held; writeDirect has to follow without it.
func (k *conn) lead() bool {
	return k != nil && k.client.engine.Pending() > 0 && k.promise()
}

// promise is lead for a caller who expects that something is about to wait. Where
// packets are logged the writer writes all of them: nobody else is to run the
// handler of the logger.
func (k *conn) promise() bool {
	if !k.nc.Direct() || k.trace != nil || k.out.busy || k.leaving != nil {
		return false
	}
	k.out.busy = true
	return true
}

// mayWrite reports whether the publisher of o, which he has just submitted, should
// write it: if it is the only one in flight, as those before it were, or if its
// payload can be written from where it is. Otherwise the writer gathers the messages
// of several publishers. Called with engine.mu held.
func (k *conn) mayWrite(o *session.Outgoing) bool {
	if k == nil {
		return false
	}
	sender := k.client.engine.Sender
	if sender.Inflight() != 1 { // or it is at QoS 0
		k.out.alone = 0
		return sender.Streams(o)
	}
	k.out.alone = min(k.out.alone+1, provenAlone)
	return k.out.alone == provenAlone || sender.Streams(o)
}

const (
	// provenAlone is how many messages in a row were alone before a publisher writes
	// his own.
	provenAlone = 4
	// directTurns is how often somebody writes, besides his own, what others have added
	// meanwhile, before the writer has to.
	directTurns = 4
)

// writeDirect writes what waits, after lead. own is the caller's message, if he has
// one: a large payload is written without a copy.
func (k *conn) writeDirect(own *session.Outgoing) {
	c := k.client
	var e notices
	for turn := 0; ; turn++ {
		now := time.Now()
		c.engine.mu.Lock()
		var flushed chan struct{}
		if turn > 0 {
			flushed = k.wrote(now)
		}
		c.holds.hand(c.engine.Client)
		more := c.engine.conn == k && c.engine.Pending() > 0
		if !more || turn == directTurns {
			k.out.busy = false
			c.engine.mu.Unlock()
			k.announce(flushed)
			// The writer may have found us busy and gone to sleep.
			if more || k.leaveBy.Load() != 0 {
				k.wakeUp()
			}
			return
		}
		b := k.take(&e, own, now)
		c.engine.mu.Unlock()
		k.announce(flushed)
		e.send()
		if n := k.try(b); n < len(b) {
			c.engine.mu.Lock()
			k.out.rest = b[n:]
			c.engine.mu.Unlock()
			k.wakeUp()
			return
		}
		if own != nil && !k.writePayload(own) {
			turn = directTurns - 1 // the socket is full
		}
	}
}

// writePayload writes what the socket takes of the payload of own, if that is what
// comes next, and reports whether it took all. The caller of a publish has it until
// then.
func (k *conn) writePayload(own *session.Outgoing) (all bool) {
	c := k.client
	var e notices
	c.engine.mu.Lock()
	defer e.send()
	defer c.engine.mu.Unlock()
	if c.engine.conn != k {
		return true
	}
	rest := c.engine.Sender.Lend(own)
	if len(rest) == 0 {
		return true
	}
	c.engine.mu.Unlock()
	n := k.try(rest)
	c.engine.mu.Lock()
	if c.engine.conn == k {
		c.engine.Sender.Lent(own, n, time.Now())
		c.engine.collectLocked(&e)
	}
	return n == len(rest)
}

// try writes what the socket takes of b without waiting.
func (k *conn) try(b []byte) int {
	n := k.nc.TryWrite(b)
	k.noteWritten(n)
	return n
}

// announce tells those who wait for a write that one has ended.
func (k *conn) announce(flushed chan struct{}) {
	if flushed != nil {
		close(flushed)
	}
}
