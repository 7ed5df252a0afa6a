package broker

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// Decision is the answer of a hook: nothing, yes or no. The zero value says nothing.
type Decision struct {
	verdict   verdict
	qos       wire.QoS // of an allowed subscription or message: no more than that
	code      wire.ReasonCode
	text      string
	server    string // the server to use instead
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

// AllowUpTo says yes to a subscription with at most this QoS. A message is allowed if
// its own QoS is not higher. For a login it equals [Allow].
func AllowUpTo(qos wire.QoS) Decision { return Decision{verdict: allowed, qos: qos} }

// As names the principal that a login is allowed for, if that is not the user name. If
// the user name is a token, for example, pass the subject of the token. A client
// identifier belongs to one principal while its session lives, connected or not. A
// client of another principal is refused with [wire.NotAuthorized] and changes nothing,
// until the session has ended or [Broker.Release] has ended it. A client that
// authenticates again as another principal is refused in the same way. Without
// authenticators all clients are one principal. The principal is stored with the
// session in [Config.Store]. Authorizers see the user name.
func (d Decision) As(principal string) Decision {
	d.principal = principal
	return d
}

// Deny says no. A code that the answer to the client cannot carry, such as one that
// is not a failure, is sent as [wire.NotAuthorized]. The text, which may be empty, is
// sent to a 5.0 client as the reason string if the client wants one and it fits.
func Deny(code wire.ReasonCode, text string) Decision {
	return Decision{verdict: denied, code: code, text: text}
}

// Redirect says no to a login and names another server. code is
// [wire.UseAnotherServer] or [wire.ServerMoved]. Clients before 5.0 cannot be told:
// they are refused as with [wire.NotAuthorized].
func Redirect(code wire.ReasonCode, server string) Decision {
	return Decision{verdict: denied, code: code, server: server}
}

// refusal returns nil if d says yes. If no hook has decided, the answer is no.
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
