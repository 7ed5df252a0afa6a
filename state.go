package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// State is what the client is doing.
type State uint8

// The states of a client.
const (
	Connecting   State = iota // an attempt is under way
	Connected                 // the server has accepted the connection
	Reconnecting              // waiting before the next attempt
	Closed                    // ended for good
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Reconnecting:
		return "reconnecting"
	}
	return "closed"
}

// ServerInfo is what is known of the server and agreed with it, as of the last
// connection.
type ServerInfo struct {
	Version        Version
	Fallback       error // why Version is not 5.0, with Auto; nil: it is, or was chosen
	ClientID       string
	SessionPresent bool
	KeepAlive      time.Duration // zero: off
	SessionExpiry  time.Duration // how long the server keeps the session without a connection (5.0)
	Limits         session.Limits

	ResponseInformation string
	ReasonString        string
	UserProperties      []UserProperty
}

// status is guarded by engine.mu.
type status struct {
	state State
	err   error // of a closed client
	info  ServerInfo
}

// State returns what the client is doing now. It may have changed before the
// caller looks at it: to act on a change use Watch, to publish just publish.
func (c *Client) State() State {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.engine.status.state
}

// ServerInfo returns what the last connection agreed on.
func (c *Client) ServerInfo() ServerInfo {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.engine.status.info
}

// established notes a new connection and returns the event to report. Called
// with engine.mu held.
func (c *Client) established(k *conn) Event {
	ack := c.engine.Connack()
	event := Event{State: Connected}
	kind, first := c.engine.Continuity(), c.engine.counters.connections == 0
	switch {
	case kind > session.Fresh:
		event.Session = SessionResumed
		event.Unproven = kind < session.Proven && !first
	case !first:
		event.Session = SessionLost
	}
	if kind == session.Inherited {
		c.router.resumed(c.expireUnclaimed)
	}
	if first && c.cfg.catchAll && c.family.parent == nil {
		c.router.catchAll(c.expireUnclaimed)
	}
	if !ack.SessionPresent {
		c.holds.forsaken(c.engine.Client, int(c.cfg.ReceiveMaximum))
	}
	if c.cfg.ClientID == "" && ack.AssignedClientID != "" {
		k.clientID = ack.AssignedClientID
	}
	c.router.renewed()
	c.router.reconnected()
	c.window.established()
	c.engine.conn = k
	c.holds.serve(k)
	c.holds.hand(c.engine.Client)
	c.reconnectNow.done()
	c.engine.counters.connections++
	c.engine.status.info = ServerInfo{
		Version:             c.engine.Version(),
		Fallback:            k.fallback,
		ClientID:            k.clientID,
		SessionPresent:      ack.SessionPresent,
		KeepAlive:           c.engine.KeepAlive(),
		SessionExpiry:       time.Duration(c.engine.SessionExpiryInterval()) * time.Second,
		Limits:              c.engine.Limits(),
		ResponseInformation: ack.ResponseInformation,
		ReasonString:        ack.ReasonString,
		UserProperties:      ack.UserProperties,
	}
	c.engine.status.state = Connected
	return event
}

// setState changes the state of a client that is not connected.
func (c *Client) setState(e Event) {
	c.engine.mu.Lock()
	c.engine.status.state = e.State
	c.engine.mu.Unlock()
	c.watchers.send(e)
	c.cfg.Logger.Debug("mqtt client state", "client_id", c.cfg.ClientID, "state", e.State.String(),
		"attempt", e.Attempt, "delay", e.Delay, "cause", e.Err)
}
