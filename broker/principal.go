package broker

import (
	"cmp"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// A client identifier belongs to a principal for as long as its session lives. The
// principal is what the authenticator says ([Decision.As]), or the user name. Nobody
// else may connect under the identifier: that would end the session, or hand it over.

// principal is who a client is, as far as the authenticators know.
type principal struct {
	name  string
	known bool // false: nobody was asked, and all are one
}

// is reports whether two may be the same.
func (p principal) is(other principal) bool {
	return !p.known || !other.known || p.name == other.name
}

// principalOf returns the principal of a login that d allows.
func (b *hub) principalOf(d Decision, username string) principal {
	if b.cfg.open() {
		return principal{}
	}
	return principal{name: cmp.Or(d.principal, username), known: true}
}

// mayHave returns why the client must not have the session that there is under its
// identifier, or nil. A session that has expired is over, even if its alarm is late.
func (c *conn) mayHave(cl *client, now time.Time) error {
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

// Release ends the session of a client identifier, so that somebody else may have it;
// see [Decision.As]. Its connection, if it has one, ends with Administrative action,
// its will is published, and what waits for it is gone, or goes to other members of its
// shared subscriptions. It reports whether there was a session.
func (b *Broker) Release(clientID string) bool {
	now := time.Now()
	b.mu.Lock()
	cl := b.clients[clientID]
	if cl == nil || b.closed {
		b.mu.Unlock()
		return false
	}
	cl.mu.Lock()
	b.cancelAlarm(cl)
	var left connection
	if cl.conn != nil {
		left = cl.close(ending{reason: wire.AdministrativeAction, text: "client identifier was released", tell: true})
	}
	due := cl.takeWill()
	b.forget(cl)
	cl.mu.Unlock()
	b.mu.Unlock()
	if left != nil {
		left.finishSoon()
	}
	if due != nil {
		due.publish(&b.hub, now)
	}
	return true
}

// becomes is what follows when a client has authenticated again: it is the same
// principal, maybe under another name, such as that of the next token.
func (c *conn) becomes(l *Login, d Decision) error {
	if !c.peer.principal.is(c.b.principalOf(d, l.Username)) {
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
	cl.saveLater()
	return nil
}
