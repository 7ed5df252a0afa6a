package broker

import (
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// ClientInfo describes a session.
type ClientInfo struct {
	Peer      *Peer // as of its last connection
	Connected bool
	Since     time.Time // when it connected or disconnected

	// SessionExpiry is how long the session is kept without a connection. A negative
	// duration means forever.
	SessionExpiry time.Duration
	Subscriptions int
	// Waiting is the number of messages that the client has not got or not
	// acknowledged yet. WaitingBytes is their size in bytes.
	Waiting, WaitingBytes int
}

// Clients returns all clients that have a session, connected or not, sorted by their
// identifiers.
func (b *Broker) Clients() []ClientInfo {
	b.mu.RLock()
	infos := make([]ClientInfo, 0, len(b.clients))
	for _, cl := range b.clients {
		infos = append(infos, cl.infoLocked())
	}
	b.mu.RUnlock()
	slices.SortFunc(infos, func(a, b ClientInfo) int { return strings.Compare(a.Peer.ClientID, b.Peer.ClientID) })
	return infos
}

// infoLocked describes the session. Called with hub.mu held.
func (cl *client) infoLocked() ClientInfo {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	info := ClientInfo{
		Peer:          cl.seen.peer,
		Connected:     cl.conn != nil,
		Since:         cl.seen.since,
		SessionExpiry: time.Duration(cl.expiry) * time.Second,
		Subscriptions: len(cl.subscriptions),
		Waiting:       cl.held.messages,
		WaitingBytes:  cl.held.bytes,
	}
	if cl.expiry == forever {
		info.SessionExpiry = -1
	}
	return info
}

// Disconnect ends the connection of a client. A 5.0 client is told the reason, or
// Unspecified error if DISCONNECT cannot carry it. The session stays for as long as
// the client asked for, and the will is published. It reports whether the client was
// connected.
func (b *Broker) Disconnect(clientID string, reason wire.ReasonCode) bool {
	b.mu.RLock()
	cl := b.clients[clientID]
	b.mu.RUnlock()
	if cl == nil {
		return false
	}
	cl.mu.Lock()
	c := cl.conn
	cl.mu.Unlock()
	return c != nil && c.leave(ending{reason: reason, tell: true, will: true})
}

// Release ends the session of a client identifier, so that another principal may have
// the identifier; see [Decision.As]. A connection ends with Administrative action, and
// the will is published. Messages that wait for the client are dropped, or go to other
// members of its shared subscriptions. It reports whether there was a session.
func (b *Broker) Release(clientID string) bool {
	now := time.Now()
	b.mu.Lock()
	cl := b.clients[clientID]
	if cl == nil || b.closed {
		b.mu.Unlock()
		return false
	}
	cl.mu.Lock()
	b.cancelAlarmLocked(cl)
	var left connection
	if cl.conn != nil {
		left = cl.closeLocked(ending{reason: wire.AdministrativeAction, text: "client identifier was released", tell: true})
	}
	due := cl.takeWillLocked()
	b.endSessionLocked(cl)
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
