package session

// Continuity is what a Client knows of the session that a server has for it, when
// the server has accepted a connection. What is subscribed again, what is repeated
// and how packet identifiers are first used follow from it.
type Continuity uint8

const (
	// Fresh: the server has begun a session. It holds nothing of ours, and what was
	// not acknowledged is published again as new messages.
	Fresh Continuity = iota
	// Inherited: the server has a session that has not seen what this Client
	// remembers: that of an earlier process, or that of an earlier connection to this
	// server with another in between. What was not acknowledged is published as new
	// messages, filters are subscribed again, and packet identifiers are released
	// before QoS 2 uses them, because the server may hold messages under them.
	Inherited
	// Doubtful: the server has a session that is either the one this Client
	// remembers or an empty one that the server began for a CONNECT whose answer got
	// lost. What was not acknowledged is repeated in the way that loses it in neither.
	Doubtful
	// Proven: the last CONNECT to this server was answered, and its session has seen
	// all that this Client remembers.
	Proven
)

// continuity knows which server may hold which generation of the session.
type continuity struct {
	// held says that a server may hold a session of this client, so that a clean
	// start would delete what waits in it.
	held bool
	// generation numbers what this Client remembers. A session that was not there, or
	// that cannot have seen it, begins the next one.
	generation  uint64
	servers     map[string]*sessionAt
	connections uint64
	server      string     // the name of the server of this connection
	answered    bool       // CONNACK came on this connection
	here        Continuity // of this connection, once it is open
}

// sessionAt is what one server is known to have seen.
type sessionAt struct {
	generation uint64
	doubt      bool   // a CONNECT since the last CONNACK was not answered
	unanswered bool   // a CONNECT was not answered, and the server may yet come to it
	lastUse    uint64 // numbers connections, so that the server of the oldest is forgotten
}

// mostServers bounds how many servers are remembered. Redirections can name any
// number of them; one that is forgotten counts as never used.
const mostServers = 64

// beginConnection begins a connection to server.
func (k *continuity) beginConnection(server string) {
	k.server, k.answered = server, false
	if k.current() != nil {
		return
	}
	if len(k.servers) >= mostServers {
		k.forgetOldest()
	}
	if k.servers == nil {
		k.servers = make(map[string]*sessionAt)
	}
	k.servers[server] = new(sessionAt)
}

// current returns what the server of this connection has seen.
func (k *continuity) current() *sessionAt { return k.servers[k.server] }

func (k *continuity) forgetOldest() {
	oldest := ""
	for name, s := range k.servers {
		if o := k.servers[oldest]; o == nil || s.lastUse < o.lastUse {
			oldest = name
		}
	}
	delete(k.servers, oldest)
}

// mayHaveSession says that the server of this connection may have a session: one of before, or
// one that it began for a CONNECT whose answer got lost.
func (k *continuity) mayHaveSession() bool { return k.held || k.current().doubt }

// connectionEnded notes the end of a connection: without CONNACK the server may have begun a
// session that nobody told us of.
func (k *continuity) connectionEnded() {
	if at := k.current(); at != nil && !k.answered {
		at.doubt, at.unanswered = true, true
	}
}

// takenOver notes that another connection has taken the session over. If it was a
// CONNECT of ours to which the server came late, the session is the same or an empty one.
// Otherwise somebody else has used it: it is like one of an earlier process.
func (k *continuity) takenOver() {
	at := k.current()
	if at == nil {
		return
	}
	if at.unanswered {
		at.doubt, at.unanswered = true, false
		return
	}
	at.generation = 0
}

// classify says what the session is that the server has, if it is present, and
// notes that this server has answered.
func (k *continuity) classify(present bool) Continuity {
	s := k.current()
	switch {
	case !present:
		k.here = Fresh
	case s.generation != k.generation || k.generation == 0:
		k.here = Inherited
	case s.doubt:
		k.here = Doubtful
	default:
		k.here = Proven
	}
	if k.here < Doubtful {
		k.generation++
	}
	k.connections++
	s.generation, s.doubt, s.lastUse = k.generation, false, k.connections
	return k.here
}
