package broker

import "github.com/seed65a45251/mqtt/store"

// waiting is what of one publisher waits for the disk. disk.mu guards it.
type waiting struct{ tasks, bytes int }

func costOf(ops []store.Op) (n int) {
	for _, op := range ops {
		n += operationCost + len(op.Key) + len(op.Value)
	}
	return n
}

// behind reports whether something of cl waits for the disk.
func (p *persistence) behind(cl *client) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cl.waiting.tasks > 0
}

// full reports whether nothing more may wait.
func (p *persistence) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes >= gatherMaximum
}

// admit waits until there is room for a message of cl, nil for the program. It
// returns false when gone is closed or the broker ends.
func (p *persistence) admit(cl *client, gone <-chan struct{}) bool {
	for {
		p.mu.Lock()
		// An observer that publishes must not wait for what it has yet to be told.
		room := cl == nil && p.bytes-p.telling < gatherMaximum ||
			cl != nil && p.bytes < gatherMaximum && cl.waiting.bytes < shareMaximum
		progress := p.progress
		p.mu.Unlock()
		if room {
			return true
		}
		select {
		case <-progress:
		case <-gone:
			return false
		case <-p.b.ctx.Done():
			return false
		}
	}
}

// crowded reports whether admit would have to wait.
func (p *persistence) crowded(cl *client) bool {
	if !p.stores() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes >= gatherMaximum || cl.waiting.bytes >= shareMaximum
}

// giveBack ends what t costs; p.mu is held.
func (p *persistence) giveBack(t *task) {
	p.bytes -= t.cost
	if t.client != nil {
		t.client.waiting.bytes -= t.cost
	}
}

// advance wakes those who wait for room; p.mu is held.
func (p *persistence) advance() {
	close(p.progress)
	p.progress = make(chan struct{})
}

// free is giveBack for a task that observers have been told of.
func (p *persistence) free(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.telling -= t.cost
	p.giveBack(t)
	p.advance()
}
