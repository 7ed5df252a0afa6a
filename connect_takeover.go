package mqtt

import (
	"errors"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// A server may end a connection on which all was well with words about who we are.
// Whether they are meant for good, only the next connection can tell. So the first time
// the client comes back, and asks Config.Attempt for the next credentials if it has one.
// The second time in a row is the end. A connection between them that was healthy (see
// reconnect.Policy.HealthyAfter) begins a new row.
//
//   - A refusal of credentials counts if it is the same server that says it to the same
//     credentials. While a packet of ours is without an answer, it may be about that
//     packet and does not count: session.Client finds out which packet it is, and that
//     one fails.
//   - "Session taken over" counts unless it is the doing of a CONNECT of ours
//     that we had given up and that the server has finished late. Each CONNECT without an
//     answer explains one take-over under its client identifier within abandonedLife. What
//     it does not explain was another program with our client identifier. With that one we
//     do not fight: after a healthy connection, too, a second take-over within
//     takeOverPeriod is the end.
//   - Before 5.0 there is no DISCONNECT from a server. Some say with a second CONNACK why
//     they end the connection, which counts like it. One that closes the connection
//     without a word has said nothing, and the client comes back ever more slowly.
//
// Config.Permanent, if set, decides in place of these rules.

const (
	// abandonedLife is longer than a server takes for a login: one that waits for a slow
	// service, or that gets it late because the network repeats it.
	abandonedLife  = 10 * time.Minute
	takeOverPeriod = 10 * time.Minute

	maxAbandoned = 64
)

// evictions are the connections that servers have ended with words about who we are.
type evictions struct {
	present struct { // the connection that is up
		server      string
		clientID    string
		credentials uint64
	}
	refused   map[string]uint64 // credentials, by the server that has refused them last
	abandoned []abandoned       // CONNECTs that were given up, to which no take-over belongs yet
	taken     map[string]taken  // by client identifier
}

// abandoned is a CONNECT that was given up.
type abandoned struct {
	clientID string
	at       time.Time
}

// taken is when somebody else has last taken the session of a client identifier over.
type taken struct {
	at    time.Time
	again bool // that was since the last healthy connection
}

// evicted is why a connection ended on which all was well.
type evicted struct {
	error
	final bool // the client is not to come back
}

func (e *evicted) Unwrap() error { return e.error }

// connected notes with what the connection to server was made that is up now.
func (v *evictions) connected(server string, p *plan) {
	v.present.server, v.present.clientID, v.present.credentials = server, p.clientID, p.fingerprint()
}

// gaveUp notes that a CONNECT with clientID was given up to which the server may come yet.
func (v *evictions) gaveUp(clientID string, now time.Time) {
	if len(v.abandoned) == maxAbandoned {
		v.abandoned = v.abandoned[:copy(v.abandoned, v.abandoned[1:])]
	}
	v.abandoned = append(v.abandoned, abandoned{clientID, now})
}

// judge returns why an established connection ended, marked if it is about who we are.
func (v *evictions) judge(l lost, healthy bool, now time.Time) error {
	err := l.cause
	if healthy {
		clear(v.refused)
		for clientID, t := range v.taken {
			v.taken[clientID] = taken{at: t.at}
		}
	}
	said, ok := errors.AsType[*ServerError](err)
	switch {
	case !ok:
		return err
	case said.ReasonCode == SessionTakenOver:
		return &evicted{err, v.takenOver(now)}
	case refusesCredentials(err):
		return &evicted{err, !l.fromPacket && v.refusedAgain()}
	case said.Packet == wire.TypeConnack:
		return &evicted{err, false}
	}
	return err
}

// takenOver reports whether it is the end that the session was taken over.
func (v *evictions) takenOver(now time.Time) (final bool) {
	clientID := v.present.clientID
	v.abandoned = slices.DeleteFunc(v.abandoned, func(a abandoned) bool { return now.Sub(a.at) > abandonedLife })
	if i := slices.IndexFunc(v.abandoned, func(a abandoned) bool { return a.clientID == clientID }); i >= 0 {
		v.abandoned = slices.Delete(v.abandoned, i, i+1)
		return false
	}
	before, known := v.taken[clientID]
	if v.taken == nil || len(v.taken) >= maxKnownServers {
		v.taken = make(map[string]taken)
	}
	v.taken[clientID] = taken{now, true}
	return known && (before.again || now.Sub(before.at) <= takeOverPeriod)
}

// refusedAgain notes a refusal of the present credentials by the present server, and
// reports whether it is the second in a row.
func (v *evictions) refusedAgain() bool {
	before, ok := v.refused[v.present.server]
	if v.refused == nil || len(v.refused) >= maxKnownServers {
		v.refused = make(map[string]uint64)
	}
	v.refused[v.present.server] = v.present.credentials
	return ok && before == v.present.credentials
}
