package mqtt

import "time"

// A write begins with take and ends with wrote. In between the connection is busy,
// and whoever adds packets leaves them to the one who writes. That is the writer,
// or, on a socket, somebody who would only wake the writer and then wait for what
// comes back: a lone publisher, the reader. They write as much as the socket takes
// without waiting, outside all locks, and leave the rest to the writer, so that
// neither their context nor their time depends on the network.

// lead reports whether the caller is to write what waits, which he thereby
// promises. Called with client.mu held; writeDirect has to follow without it.
func (k *conn) lead() bool {
	if k == nil || k.line == nil || k.out.busy || k.leaving != nil || k.client.engine.Pending() == 0 {
		return false
	}
	k.out.busy = true
	return true
}

// alone reports whether the message just submitted is the only one in flight, as
// those before it were. Otherwise the writer gathers those of several publishers.
// Called with client.mu held.
func (k *conn) alone() bool {
	if k == nil {
		return false
	}
	if k.client.engine.Sender.Inflight() != 1 { // or it is at QoS 0
		k.out.alone = 0
		return false
	}
	k.out.alone = min(k.out.alone+1, provenAlone)
	return k.out.alone == provenAlone
}

const (
	// provenAlone is how many messages in a row were alone before a publisher writes
	// his own.
	provenAlone = 4
	// directTurns is how often somebody writes, besides his own, what others have added
	// meanwhile, before the writer has to.
	directTurns = 4
)

// writeDirect writes what waits, after lead.
func (k *conn) writeDirect() {
	c := k.client
	var e effects
	for turn := 0; ; turn++ {
		now := time.Now()
		c.mu.Lock()
		var flushed chan struct{}
		if turn > 0 {
			flushed = k.wrote(now)
		}
		c.receipts.hand(c.engine)
		more := c.conn == k && c.engine.Pending() > 0
		if !more || turn == directTurns {
			k.out.busy = false
			c.mu.Unlock()
			k.announce(flushed)
			// The writer may have found us busy and gone to sleep.
			if more || k.leaveBy.Load() != 0 {
				k.wakeUp()
			}
			return
		}
		b := k.take(&e, now)
		c.mu.Unlock()
		k.announce(flushed)
		e.perform()
		if k.trace != nil {
			k.trace.wrote(b)
		}
		if n := k.try(b); n < len(b) {
			c.mu.Lock()
			k.out.rest = b[n:]
			c.mu.Unlock()
			k.wakeUp()
			return
		}
	}
}

// try writes what the socket takes of b without waiting.
func (k *conn) try(b []byte) int {
	n := k.line.tryWrite(b)
	k.client.counters.bytesSent.Add(uint64(n))
	return n
}

// announce tells those who wait for a write that one has ended.
func (k *conn) announce(flushed chan struct{}) {
	if flushed != nil {
		close(flushed)
	}
}
