package broker

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// Decision is what a hook says: nothing, yes, or no. The zero value says nothing.
type Decision struct {
	verdict   verdict
	qos       wire.QoS // of an allowed subscription or message: no more than that
	code      wire.ReasonCode
	text      string
	server    string // to go to
	principal string // of a login; empty: the user name
	broken    bool   // of a hook that has panicked
}

type verdict uint8

const (
	undecided verdict = iota
	allowed
	denied
)

// Pass leaves the decision to the next hook. In an [Exchange] it means that the
// client has to answer first.
func Pass() Decision { return Decision{} }

// Allow says yes.
func Allow() Decision { return AllowUpTo(wire.ExactlyOnce) }

// AllowUpTo says yes to a subscription with at most this QoS. A message is allowed
// if its own QoS is not higher. For a login it is [Allow].
func AllowUpTo(qos wire.QoS) Decision { return Decision{verdict: allowed, qos: qos} }

// As says for whom a login is allowed, if that is not the user name: where that is a
// token, say, it returns d for the subject of all of its tokens. A client identifier
// belongs to one principal while its session lives, connected or not. Any other is
// refused with [wire.NotAuthorized] and changes nothing, until the session has ended or
// [Broker.Release] has ended it; so is a client that authenticates again as another.
// Without authenticators all clients are one. The principal is a part of the session in
// [Config.Store]. Authorizers see the user name.
func (d Decision) As(principal string) Decision {
	d.principal = principal
	return d
}

// Deny says no. A code that the answer to the client cannot carry, such as one
// that is no failure, is sent as [wire.NotAuthorized]. The text, which may be
// empty, is sent to 5.0 clients as reason string where they want it and it fits.
func Deny(code wire.ReasonCode, text string) Decision {
	return Decision{verdict: denied, code: code, text: text}
}

// Redirect says no to a login and names another server; code is
// [wire.UseAnotherServer] or [wire.ServerMoved]. Only 5.0 clients can be told: the
// others are refused like with [wire.NotAuthorized].
func Redirect(code wire.ReasonCode, server string) Decision {
	return Decision{verdict: denied, code: code, server: server}
}

// refusal returns nil if d says yes. Where nobody has decided the answer is no.
func (d Decision) refusal(permitted ...wire.ReasonCode) *refusal {
	switch d.verdict {
	case allowed:
		return nil
	case undecided:
		return &refusal{code: wire.NotAuthorized}
	}
	if slices.Contains(permitted, d.code) {
		return &refusal{code: d.code, text: d.text, server: d.server, broken: d.broken}
	}
	return &refusal{code: wire.NotAuthorized, text: d.text}
}
