package session

import (
	"slices"
	"time"
)

// Continuity is what a Client knows about the session that a server has for it, when
// the server has accepted a connection. It decides what is subscribed again, what is
// repeated and how packet identifiers are first used.
type Continuity uint8

const (
	// Fresh: the server has begun a session. It holds nothing of ours, and what was
	// not acknowledged is published again as new messages.
	Fresh Continuity = iota
	// Inherited: the server has a session that has not seen what this Client
	// remembers. It is from an earlier process, or from an earlier connection to this
	// server with a connection to another server in between. What was not acknowledged is
	// published as new messages, and filters are subscribed again. Packet identifiers
	// are released before QoS 2 uses them, because the server may hold messages under
	// them.
	Inherited
	// Doubtful: the server has a session that is either the one this Client remembers
	// or an empty one. The server may have begun the empty one for a CONNECT whose
	// answer got lost. What was not acknowledged is repeated in a way that loses it in
	// neither case.
	Doubtful
	// Proven: the last CONNECT to this server was answered, and its session has seen
	// all that this Client remembers.
	Proven
)

// SessionID is what makes two connections continue the same session: the server, and the
// client identifier that CONNECT names or the server assigns [MQTT-3.1.3-2].
type SessionID struct {
	Server   string // see [Client.ConnectTo]
	ClientID string
}

// continuity knows which session has seen which generation of what is remembered.
type continuity struct {
	holders
	// generation numbers what this Client remembers. A session that was not there, or
	// that cannot have seen it, begins the next one.
	generation  uint64
	servers     []*sessionAt
	connections uint64
	current     *sessionAt // that of this connection; nil: there was none yet
	answered    bool       // CONNACK came on this connection
	clean       bool       // CONNECT asked for a clean start
	here        Continuity // of this connection, once it is open
}

// sessionAt is what one session is known to have seen.
type sessionAt struct {
	SessionID
	generation uint64
	sessions   uint64    // that have begun there
	doubt      bool      // a CONNECT since the last CONNACK was not answered
	unanswered bool      // a CONNECT was not answered, and the server may still handle it
	inherited  bool      // it may hold packet identifiers for messages that nobody remembers
	eraser     time.Time // until when a clean start that was not answered may still delete the session
	lastUse    uint64    // numbers the connections; the server whose last one is oldest is forgotten first
}

// mostServers bounds how many sessions are remembered, because redirections can name
// any number of servers. A forgotten one counts as never used.
const mostServers = 64

// eraserLasts is how long a CONNECT may be on its way that the client has given up.
// Operating systems give up what is not acknowledged after this time at the latest.
const eraserLasts = 16 * time.Minute

// beginConnection begins a connection that asks for the session id.
func (k *continuity) beginConnection(id SessionID, clean bool) {
	k.answered, k.clean = false, clean
	// [MQTT-3.1.2-4] with a clean start our own session state ends, too. Its messages become
	// new ones.
	k.hold(id.ClientID, !clean && k.holds(id.ClientID))
	k.enter(id)
}

// enter makes id the session of this connection.
func (k *continuity) enter(id SessionID) {
	for _, s := range k.servers {
		if s.SessionID == id {
			k.current = s
			return
		}
	}
	if len(k.servers) >= mostServers {
		k.forgetOldest()
	}
	k.current = &sessionAt{SessionID: id}
	k.servers = append(k.servers, k.current)
}

// assigned notes that the server has given the client an identifier in place of the one of
// CONNECT. The session that it names is another one.
func (k *continuity) assigned(clientID string) {
	if clientID == "" || clientID == k.current.ClientID {
		return
	}
	was := k.current
	k.servers = slices.DeleteFunc(k.servers, func(s *sessionAt) bool { return s == was })
	k.enter(SessionID{was.Server, clientID})
}

func (k *continuity) forgetOldest() {
	oldest := 0
	for i, s := range k.servers {
		if s.lastUse < k.servers[oldest].lastUse {
			oldest = i
		}
	}
	k.servers = slices.Delete(k.servers, oldest, oldest+1)
}

// mayHaveSession reports whether the server of this connection may have a session: an
// earlier one, or one that it began for a CONNECT whose answer got lost.
func (k *continuity) mayHaveSession() bool {
	return k.holds(k.current.ClientID) || k.current.doubt
}

// connectionEnded notes the end of a connection. Without a CONNACK the server may have
// begun a session that we were not told of. If that CONNECT asked for a clean start, it
// may still do so during later connections, and nothing may tell us. now may be zero if
// the time is not known.
func (k *continuity) connectionEnded(now time.Time) {
	at := k.current
	switch {
	case at == nil:
	case !k.answered:
		at.doubt, at.unanswered = true, true
		if k.clean {
			at.eraser = now.Add(eraserLasts)
		}
	case now.Before(at.eraser):
		at.doubt = true
	default:
		at.eraser = time.Time{}
	}
}

// takenOver notes that another connection has taken the session over. If that was a
// CONNECT of ours that the server handled late, the session is the same one or an empty
// one. Otherwise another client has used it, and it counts like one of an earlier
// process.
func (k *continuity) takenOver() {
	at := k.current
	if at == nil {
		return
	}
	if at.unanswered {
		at.doubt, at.unanswered, at.eraser = true, false, time.Time{}
		return
	}
	at.generation = 0
}

// classify returns the continuity of this connection and notes that this server has
// answered. present says that the server has a session.
func (k *continuity) classify(present bool) Continuity {
	s := k.current
	switch {
	case !present:
		k.here = Fresh
		s.sessions++
	case s.generation != k.generation || k.generation == 0:
		k.here = Inherited
	case s.doubt:
		k.here = Doubtful
	default:
		k.here = Proven
	}
	if k.here < Doubtful {
		k.generation++
		s.inherited = k.here == Inherited
	}
	k.connections++
	s.generation, s.doubt, s.lastUse = k.generation, false, k.connections
	return k.here
}
