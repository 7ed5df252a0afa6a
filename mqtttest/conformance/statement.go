package conformance

import "github.com/seed65a45251/mqtt/wire"

// Side says whom a statement binds.
type Side byte

// The sides of a connection.
const (
	ClientSide Side = iota
	ServerSide
)

// String returns "client" or "server".
func (s Side) String() string {
	if s == ServerSide {
		return "server"
	}
	return "client"
}

// Statement is one rule of MQTT, which the versions may number differently.
type Statement struct {
	Name string // unique on its side; results have it
	Side Side
	// V311 and V5 are the numbers of the rule in the two texts, for example
	// MQTT-3.1.4-5, or the section, for example §3.2.2.3.4, where it has no number. A
	// version without numbers does not have the rule.
	V311, V5 []string
	Text     string // the rule in short
	// NotObserved says why no check can see whether the rule is kept. If it is "",
	// there is a check.
	NotObserved string
}

// Numbers returns the numbers of the statement in a version, none if the version does
// not have it.
func (s *Statement) Numbers(v wire.Version) []string {
	switch v {
	case wire.V311:
		return s.V311
	case wire.V5:
		return s.V5
	}
	return nil
}
