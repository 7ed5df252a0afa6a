package mqtt

import (
	"context"

	"github.com/seed65a45251/mqtt/session"
)

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
	k := c.conn
	if k == nil {
		defer c.engine.mu.Unlock()
		if c.status.last != nil {
			return *c.status.last
		}
		return ServerInfo{}
	}
	info := c.serverInfoLocked(k)
	c.engine.mu.Unlock()
	info.TLS = k.nc.TLS() // TLS has locks of its own
	return info
}

// Stats returns the client's counters. It is cheap.
func (c *Client) Stats() Stats {
	s := c.stats()
	s.add(c.ownStats())
	return s
}

func (c *Client) stats() (s Stats) {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.holds.handLocked(c.engine.Client)
	engine, seen := c.engine.Counts(), c.counters.shown()
	s.ConnectionStats = ConnectionStats{
		Connections:    c.counters.established,
		SessionsLost:   c.counters.sessionsLost,
		FailedAttempts: seen.attempts,
		Ended:          seen.ends,
		Ping:           engine.Ping,
	}
	if c.conn != nil {
		s.Up = 1
	}
	s.Lost = s.Connections - uint64(s.Up)
	s.TrafficStats = TrafficStats{
		BytesSent:       c.counters.traffic.sent.Load(),
		BytesReceived:   c.counters.traffic.received.Load(),
		PacketsSent:     engine.PacketsSent,
		PacketsReceived: engine.PacketsReceived,
		Writes:          c.counters.traffic.writes.Load(),
	}
	s.PublishStats = c.publishStatsLocked(&engine)
	s.ReceiveStats = ReceiveStats{
		Received:      c.counters.traffic.messages.Load(),
		Duplicates:    engine.Duplicates,
		DroppedBy:     c.counters.dropped.show(),
		Unclaimed:     c.counters.dropped.unclaimed.Load(),
		Refused:       c.counters.dropped.refused.Load(),
		Rejected:      c.counters.rejected.Load(),
		Retried:       c.counters.retried.Load(),
		DeadLettered:  c.counters.deadLettered.Load(),
		Unfinished:    c.engine.Receiver.Unfinished(),
		Held:          c.holds.total(),
		HeldUnclaimed: c.holds.held(&c.inbox.unclaimed.list),
	}
	s.Dropped = s.DroppedBy.all()
	s.RequestStats = RequestStats{
		StrayResponses: c.counters.stray.Load(), Unanswered: c.counters.unanswered.Load(), RepeatedRequests: c.counters.repeated.Load(),
	}
	return s
}

func (c *Client) publishStatsLocked(engine *session.Counts) PublishStats {
	p := PublishStats{
		Published:      c.engine.published.accepted,
		Acknowledged:   c.engine.published.acknowledged,
		Repeated:       engine.Repeated,
		RetriedRefused: engine.Retried,
		Failed:         c.engine.published.shown(),
		Inflight:       c.engine.Sender.Inflight(),
		RoundTrips:     engine.Publish,
	}
	p.Failed.Lost += c.engine.Sender.Lost()
	p.QueueDropped = p.Failed.QueueFull + p.Failed.Superseded
	p.Queued, p.QueuedBytes = c.engine.Sender.Queued()
	waiting, bytes := c.keeper.waitingLocked()
	p.Queued, p.QueuedBytes = p.Queued+waiting, p.QueuedBytes+bytes
	return p
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
