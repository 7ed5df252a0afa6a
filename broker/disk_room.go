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
func (d *disk) behind(cl *client) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return cl.waiting.tasks > 0
}

// full reports whether nothing more may wait.
func (d *disk) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes >= gatherMaximum
}

// admit waits until there is room for a message of cl, nil for the program. It
// returns false when gone is closed or the broker ends.
func (d *disk) admit(cl *client, gone <-chan struct{}) bool {
	for {
		d.mu.Lock()
		// An observer that publishes must not wait for what it has yet to be told.
		room := cl == nil && d.bytes-d.telling < gatherMaximum ||
			cl != nil && d.bytes < gatherMaximum && cl.waiting.bytes < shareMaximum
		progress := d.progress
		d.mu.Unlock()
		if room {
			return true
		}
		select {
		case <-progress:
		case <-gone:
			return false
		case <-d.b.ctx.Done():
			return false
		}
	}
}

func (d *disk) crowded(cl *client) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes >= gatherMaximum || cl.waiting.bytes >= shareMaximum
}

// giveBack ends what t costs; d.mu is held.
func (d *disk) giveBack(t *task) {
	d.bytes -= t.cost
	if t.client != nil {
		t.client.waiting.bytes -= t.cost
	}
}

// advance wakes those who wait for room; d.mu is held.
func (d *disk) advance() {
	close(d.progress)
	d.progress = make(chan struct{})
}

// free is giveBack for a task that observers have been told of.
func (d *disk) free(t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.telling -= t.cost
	d.giveBack(t)
	d.advance()
}
