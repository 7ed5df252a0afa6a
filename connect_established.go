package mqtt

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// connOptions returns what a new connection needs of the client.
func (c *Client) connOptions() connOptions {
	return connOptions{
		engine:        &c.engine,
		maxPacketSize: int(c.cfg.MaximumPacketSize),
		maxAge:        c.cfg.MaximumConnectionAge,
		writeTimeout:  c.cfg.WriteTimeout,
		logger:        c.logger,
		traffic:       &c.counters.traffic,
		receiver:      &receiver{inbox: &c.inbox},
		acks:          &c.holds,
		tolerance:     &c.tolerance,
		established:   c.establishedLocked,
		retire:        c.retire,
	}
}

// establishedLocked notes that the server has accepted connection k, unless the client is
// about to end. pass is called without the lock.
func (c *Client) establishedLocked(k *conn) (pass func(), err error) {
	if c.engine.ending != nil {
		return nil, c.engine.ending
	}
	event := c.continuedLocked()
	if ack := c.engine.Connack(); ack.AssignedClientID != "" {
		k.clientID = ack.AssignedClientID
	}
	if c.keeper != nil {
		c.holds.keys = newKeySource(c.keeper.journal.Identity(), c.engine.Session(), c.engine.SessionNumber())
	}
	c.inbox.reconnected()
	c.window.established()
	c.conn, c.engine.outbox = k, &k.outbox
	c.holds.serve(&k.outbox)
	c.holds.handLocked(c.engine.Client)
	c.counters.established++
	k.up = max(1, time.Since(k.start))
	if event.Session == SessionLost {
		c.counters.sessionsLost++
	}
	c.status = status{state: Connected}
	if c.hooks != nil {
		c.hooks.server.Store(new(c.serverInfoLocked(k)))
	}
	c.watchers.tell(event) // before the next line wakes those who wait
	c.reconnectNow.connectedLocked()
	version := c.engine.Version()
	return func() {
		c.logEstablished(k, version, event)
		c.watchers.pass(event)
	}, nil
}

// continuedLocked does what follows from what became of the session, and returns the
// event that says so.
func (c *Client) continuedLocked() Event {
	event := Event{State: Connected}
	kind, first := c.engine.Continuity(), c.counters.established == 0
	switch {
	case kind > session.Fresh:
		event.Session = SessionResumed
		// The first connection of a process is in doubt only where a Store knows earlier ones.
		event.Unproven = kind == session.Doubtful || kind < session.Proven && !first
	case !first:
		event.Session = SessionLost
	}
	if kind == session.Inherited || first && (kind > session.Fresh || len(c.kept) > 0) {
		c.inbox.resumed()
	}
	if first && c.cfg.catchAll && c.parent == nil {
		c.inbox.catchAll()
	}
	if !c.engine.Connack().SessionPresent {
		c.holds.sessionLostLocked(c.engine.Client, int(c.cfg.ReceiveMaximum))
	}
	return event
}

// serverInfoLocked returns what was agreed with the server.
func (c *Client) serverInfoLocked(k *conn) ServerInfo {
	ack := c.engine.Connack()
	return ServerInfo{
		Version:             c.engine.Version(),
		Fallback:            k.fallback,
		Server:              k.place.url,
		Address:             k.place.address,
		Since:               k.start.Add(k.up),
		ClientID:            k.clientID,
		SessionPresent:      ack.SessionPresent,
		KeepAlive:           c.engine.KeepAlive(),
		SessionExpiry:       time.Duration(c.engine.SessionExpiryInterval()) * time.Second,
		Limits:              c.engine.Limits(),
		ResponseInformation: ack.ResponseInformation,
		ReasonString:        ack.ReasonString,
		UserProperties:      ack.UserProperties,
	}
}

// forget ends the engine's part of connection k, which err ended, and reports whether a
// packet of ours may be why.
func (c *Client) forget(k *conn, err error) (fromPacket bool) {
	cause, secure, served := k.endedBy(err), k.nc.TLS(), false
	c.holds.serve(nil)
	c.engine.do(func(engine *session.Client) {
		if c.conn == k {
			c.status.last = new(c.serverInfoLocked(k))
			c.status.last.TLS = secure
		}
		engine.WroteBytes(k.written.Load())
		fromPacket = engine.MayAnswer(cause)
		engine.LostBecause(cause, time.Now())
		if c.conn == k {
			c.conn, c.engine.outbox = nil, nil
			c.counters.outcome().ends.count(err)
			served = true
		}
		k.outbox.endProgressLocked()
	})
	if served {
		c.logEnded(k, err)
	}
	return fromPacket
}

// setState changes the state of a client that is not connected.
func (c *Client) setState(e Event) {
	c.engine.mu.Lock()
	c.status.state = e.State
	if e.Err != nil {
		c.status.failed = e.Err
	}
	c.watchers.tell(e)
	c.engine.mu.Unlock()
	c.watchers.pass(e)
	if e.State == Reconnecting {
		c.logger.Info("mqtt client waits to connect", "attempt", e.Attempt, "delay", e.Delay)
	} else {
		c.logger.Debug("mqtt client connects", "attempt", e.Attempt, "server", e.Server)
	}
}

// attemptFailed counts and logs an attempt. Its error names no secrets.
func (c *Client) attemptFailed(a failedAttempt) {
	a.canceled = a.canceled || c.endingCause() != nil
	c.engine.mu.Lock()
	c.counters.outcome().attempts.count(a)
	c.engine.mu.Unlock()
	level := slog.LevelWarn
	if a.canceled {
		level = slog.LevelDebug
	}
	c.logger.Log(context.Background(), level, "mqtt attempt to connect failed", "attempt", a.number, "server", a.server, "cause", a.err)
}
