package mqtt

import "context"

// State returns what the client is doing now. It may change before the caller looks at
// it. To act on a change use Watch; to publish, publish without asking.
func (c *Client) State() State {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.status.state
}

// ServerInfo returns what the last connection agreed on.
func (c *Client) ServerInfo() ServerInfo {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	switch {
	case c.conn != nil:
		return c.serverInfoLocked(c.conn)
	case c.status.last != nil:
		return *c.status.last
	}
	return ServerInfo{}
}

// Stats returns the client's counters. It is cheap.
func (c *Client) Stats() Stats {
	s := c.stats()
	s.add(c.ownStats())
	return s
}

func (c *Client) stats() Stats {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.holds.handLocked(c.engine.Client)
	s := Stats{
		Connections:   c.counters.connections,
		Lost:          c.counters.lost,
		BytesSent:     c.counters.traffic.sent.Load(),
		BytesReceived: c.counters.traffic.received.Load(),
		Published:     c.counters.published,
		QueueDropped:  c.engine.queue.dropped,
		Received:      c.counters.traffic.messages.Load(),
		Dropped:       c.counters.dropped.Load(),
		Unclaimed:     c.counters.unclaimed.Load(),
		Refused:       c.counters.refused.Load(),

		StrayResponses: c.counters.stray.Load(),
		Unanswered:     c.counters.unanswered.Load(),
		Rejected:       c.counters.rejected.Load(),

		Inflight:   c.engine.Sender.Inflight(),
		Unfinished: c.engine.Receiver.Unfinished(),
	}
	s.Queued, s.QueuedBytes = c.engine.Sender.Queued()
	waiting, bytes := c.keeper.waitingLocked()
	s.Queued, s.QueuedBytes = s.Queued+waiting, s.QueuedBytes+bytes
	s.Held = c.holds.total()
	s.HeldUnclaimed = c.holds.held(&c.inbox.unclaimed.list)
	return s
}

// Watch returns a channel of what happens to the client from now on. The channel is
// closed after the event of the client's end, or when ctx ends. A watcher that does not
// keep up loses the oldest events, never the newest.
func (c *Client) Watch(ctx context.Context) <-chan Event {
	w := &watcher{ch: make(chan Event, 64)}
	if ctx.Err() != nil || !c.watchers.add(ctx, w) {
		close(w.ch)
	}
	return w.ch
}
