package session

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Disconnect sends DISCONNECT. Nothing is sent after it [MQTT-3.14.4-1]. The reason
// string and the user properties are left out if they do not fit.
func (c *Client) Disconnect(p *wire.Disconnect) error {
	if c.phase != connected {
		return ErrNotConnected
	}
	expiry := p.SessionExpiryInterval
	if expiry != nil && *expiry > 0 && c.announced.sessionExpiry == 0 {
		return &wire.FieldError{Packet: wire.TypeDisconnect, Field: "SessionExpiryInterval", Problem: "must be 0 after 0 in CONNECT"}
	}
	c.link.unholdQoS0()
	err := c.link.Append(p)
	if errors.Is(err, wire.PacketTooLarge) {
		// [MQTT-3.14.2-3], [MQTT-3.14.2-4]
		short := *p
		short.ReasonString, short.UserProperties = "", nil
		err = c.link.Append(&short)
	}
	if err != nil {
		return err
	}
	if expiry != nil {
		c.continuity.hold(c.continuity.current.ClientID, *expiry > 0)
		c.noteContinuity()
	}
	c.shut()
	return nil
}

// Lost says that the connection is gone. byServer says that the server closed it, as
// opposed to us or the network. It is [Client.LostBecause] for a caller that knows no
// further cause.
func (c *Client) Lost(byServer bool) {
	var cause error
	if byServer {
		cause = errHungUp
	}
	c.LostBecause(cause, time.Time{})
}

// LostBecause says that the connection is gone. cause says how the server ended it:
// with a refusal or DISCONNECT, by closing or resetting the connection, or with an
// answer that the engine had to refuse. If nil, the server did not end it: we closed
// it, or the network broke. If a packet makes the server end one connection after
// another, the packet fails with [ErrUndeliverable] and the cause. now may be zero if
// the time is not known.
func (c *Client) LostBecause(cause error, now time.Time) {
	wasUp := c.connack != nil && !c.connack.ReasonCode.Failed()
	if cause != nil && c.fault != nil {
		cause = c.fault
	}
	if c.phase != idle {
		c.continuity.connectionEnded(now)
	}
	if said, ok := errors.AsType[*ServerError](cause); ok && said.ReasonCode == wire.SessionTakenOver {
		c.continuity.takenOver()
	}
	c.noteContinuity()
	c.phase = idle
	c.Subscriptions.ready = false
	if wasUp {
		c.Sender.judge(cause, now)
		c.reportUndeliverable()
		c.Sender.Stop(false)
		c.forgetFilters()
		c.refusals.endConnection()
	}
	c.link.Close()
	c.Receiver.Stop()
	c.Subscriptions.stop()
	c.endRequests()
	c.endPings(ErrConnectionLost)
	c.endAuthentication(ErrConnectionLost)
	c.connack = nil
}

// MayAnswer reports whether a server that ended the connection with cause may have done
// so because of a packet that it got and did not answer. Call it before
// [Client.LostBecause], which clears this state.
func (c *Client) MayAnswer(cause error) bool {
	if cause == nil || !maybeForPacket(cause) {
		return false
	}
	for f := range c.Sender.sentPackets {
		if f.begin < c.link.account.written {
			return true
		}
	}
	return false
}
