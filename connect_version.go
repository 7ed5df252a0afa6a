package mqtt

import (
	"context"
	"errors"
	"net"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/wire"
)

// With Config.Version Auto each server is spoken to with 5.0 first. What is found
// out about one server says nothing about another.
//
//   - A server that refuses 5.0 in so many words, and then accepts 3.1.1, is spoken
//     to with 3.1.1 from then on, until it refuses that.
//   - One that ends the connection after CONNECT without a word, or answers what is
//     no CONNACK of 5.0, may be too old, or just starting. 3.1.1 is tried at once, for
//     this connection only: the next one begins with 5.0 again.
//   - One that has accepted 5.0 before is known to understand it. It has to hang up
//     several times in a row before 3.1.1 is tried: a connection of 3.1.1 cannot
//     carry messages with properties, which wait for 5.0 meanwhile.

// patience is how many CONNECTs in a row a server that knows 5.0 may leave
// unanswered before 3.1.1 is tried.
const patience = 5

// versions are those that the servers were found to speak.
type versions struct {
	fixed Version // Auto: to be found out
	known []*knownVersion
}

// knownVersion is what is known of one server.
type knownVersion struct {
	server  string // see plan.at
	pinned  error  // its refusal of 5.0; nil: it has not refused
	fluent  bool   // it has accepted 5.0
	hangups int    // CONNECTs of 5.0 in a row without an answer
}

// maxKnownServers bounds what is remembered: servers may name others without end.
const maxKnownServers = 256

// of returns what is known of server.
func (s *versions) of(server string) *knownVersion {
	for _, k := range s.known {
		if k.server == server {
			return k
		}
	}
	if len(s.known) >= maxKnownServers {
		s.known = nil
	}
	k := &knownVersion{server: server}
	s.known = append(s.known, k)
	return k
}

// versionChoice is the version of one connection, and why it is not 5.0 with Auto.
type versionChoice struct {
	version Version
	because error
}

// first returns what to begin with.
func (s *versions) first(known *knownVersion) versionChoice {
	switch {
	case s.fixed != Auto:
		return versionChoice{version: s.fixed}
	case known.pinned != nil:
		return versionChoice{V311, known.pinned}
	}
	return versionChoice{version: V5}
}

// accepted notes that the server has accepted v.
func (k *knownVersion) accepted(v versionChoice) {
	if v.version == V5 {
		*k = knownVersion{server: k.server, fluent: true}
	} else if refusesVersion(v.because) {
		*k = knownVersion{server: k.server, pinned: v.because}
	}
}

// other notes that a connection with v failed with err, and returns what to try at
// once instead, if anything.
func (s *versions) other(known *knownVersion, v versionChoice, err error) (next versionChoice, ok bool) {
	if s.fixed != Auto {
		return versionChoice{}, false
	}
	refused := refusesVersion(err)
	if v.version == V311 {
		if refused {
			known.pinned = nil // it has learned 5.0, or has become another server
		}
		return versionChoice{version: V5}, refused
	}
	if !refused && !hungUp(err) {
		known.hangups = 0
		return versionChoice{}, false
	}
	if known.hangups++; !refused && known.fluent && known.hangups < patience {
		return versionChoice{}, false
	}
	return versionChoice{V311, err}, true
}

// refusesVersion says whether the server has said that it does not take the
// version.
func refusesVersion(err error) bool { return errors.Is(err, UnsupportedProtocolVersion) }

// hungUp says whether the server left CONNECT without an answer that a client
// of 5.0 understands: it ended the connection, or said what is no CONNACK. Silence
// is none: it may be that of the network.
func hungUp(err error) bool {
	if _, early := errors.AsType[*transportError](err); early {
		return false
	}
	if _, foreign := errors.AsType[*transport.ForeignError](err); foreign {
		return false // and no other version either
	}
	if said, ok := errors.AsType[*ServerError](err); ok {
		return said.Packet == wire.TypeDisconnect && said.ReasonCode == Success
	}
	if _, local := errors.AsType[*wire.FieldError](err); local || errors.Is(err, ErrClosed) {
		return false
	}
	if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
		return false
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return false // TLS says more: our certificate is refused
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errConnectTimeout)
}
