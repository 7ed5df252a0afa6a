package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// A client identifier belongs to a principal for as long as its session lives. The
// principal is the one that the authenticator names ([Decision.As]), or the user
// name. A client of another principal may not connect with the identifier, because it
// would end the session or take it over.

// mayTakeSession returns nil if the client may have the existing session of its
// identifier, or why it may not. An expired session is over, even if its alarm is late.
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

// reauthenticated applies a successful re-authentication. The principal must be the
// same. The user name may differ: it may be the next token, for example.
func (c *conn) reauthenticated(l *Login, d Decision) error {
	if !c.peer.principal.is(c.hub.cfg.principalOf(d, l.Username)) {
		// [MQTT-4.12.1-2] The session and its rights belong to the first principal.
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
