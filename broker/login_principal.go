package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// A client identifier belongs to a principal for as long as its session lives. The
// principal is what the authenticator says ([Decision.As]), or the user name. Nobody
// else may connect under the identifier: that would end the session, or hand it over.

// mayTakeSession returns why the client must not have the session that there is under its
// identifier, or nil. A session that has expired is over, even if its alarm is late.
func (c *conn) mayTakeSession(cl *client, now time.Time) error {
	if cl == nil {
		return nil
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn == nil && passed(cl.alarm.end, now) || cl.seen.peer.principal.is(c.peer.principal) {
		return nil
	}
	return &refusal{code: wire.NotAuthorized, text: "client identifier belongs to somebody else"}
}

// reauthenticated is what follows when a client has authenticated again: it is the same
// principal, maybe under another name, such as that of the next token.
func (c *conn) reauthenticated(l *Login, d Decision) error {
	if !c.peer.principal.is(c.hub.cfg.principalOf(d, l.Username)) {
		// [MQTT-4.12.1-2] Session and rights are those of the first.
		return &refusal{code: wire.NotAuthorized, text: "authenticated as somebody else"}
	}
	if l.Username == c.peer.Username {
		return nil
	}
	peer := *c.peer
	peer.Username = l.Username
	cl := c.client
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.conn != c {
		return errGone
	}
	c.peer, cl.seen.peer = &peer, &peer
	cl.rights.forget()
	if cl.will != nil {
		cl.will.peer = &peer
	}
	cl.saveLaterLocked()
	return nil
}
