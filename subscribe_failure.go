package mqtt

import (
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/reconnect"
)

// FailurePolicy says what Handle does when its function fails for a message. The
// function fails when it returns an error that is no refusal (see [Refusal]), while the
// context of Handle lives. First it is called again, Attempts times in all. Then the
// message becomes a dead letter, or is refused, or ends Handle. With the zero
// FailurePolicy the first error ends Handle. A message at QoS 1 or 2 that the function has
// acknowledged or refused itself is done, whatever it returns.
//
// A message that is tried again stays unacknowledged. It holds up the messages of its
// key, and of no other: it keeps no call of Concurrency busy while it waits. With
// Unordered it holds up nothing, and without Concurrency everything behind it. In any
// case it holds up the acknowledgements behind it, and after Config.ReceiveMaximum of
// them the server sends no more at QoS 1 and 2; see SubscribeOptions.OwnConnection.
// Messages behind it take up space, too: with Concurrency a Handle has up to 16 for each
// call.
//
// The end of Handle, of the Subscription or of the client ends the wait for the next
// attempt at once. What is not finished then ends like every message that is being
// handled, and whoever gets it next begins to count again. So does the next process
// after a crash: a message that crashes the program each time never becomes a dead
// letter. Message.Duplicate says that a message came before. Disconnect waits for the
// attempts until its context ends.
//
// A MessageExpiryInterval does not end the attempts. The function sees the interval that
// was left when the message came, and can refuse what is too old. A panic of the function
// is no failure: it ends the program, or Handle.
type FailurePolicy struct {
	// Attempts is how often the function is called for a message, the first call
	// included. Each time it gets the fields of the message as they came; what lies in
	// the payload and in the slices of the fields is as it has left it. Zero means once;
	// negative means without limit.
	Attempts int
	// Backoff is how long Handle waits between two attempts. MaxAttempts and
	// HealthyAfter have no meaning here and are refused.
	Backoff reconnect.Policy
	// Permanent says that another attempt is of no use after err. It is called in the
	// function's goroutine. If nil, every error is worth another attempt.
	Permanent func(err error) bool

	// DeadLetter is the topic to which a message goes after its last attempt. If it ends
	// in "/#", the topic of the message takes the place of the "#". The dead letter is
	// published at QoS 1, and the message is acknowledged when the server has
	// acknowledged that, also with ManualAck. So a dead letter may arrive twice, and none
	// is lost.
	//
	// It is a copy of the message, without its retain flag and its expiry, and has three
	// further user properties: DeadLetterTopic, DeadLetterError (the text of the last
	// error) and DeadLetterAttempts. Where these do not fit, before 5.0 or because the
	// packet would be too large, it has the payload only, and the topic should end in
	// "/#". The log has the error in any case.
	//
	// While a dead letter cannot be delivered for now, Handle tries again, with the pauses
	// of Backoff. If the server refuses it for good, Refuse decides. Zero means that there
	// are no dead letters. A topic that the Subscription itself receives is refused with
	// ErrInvalid, and so is any together with Block.
	DeadLetter string
	// Refuse is the reason code with which a message is refused after its last attempt,
	// if it did not become a dead letter. The reason is the text of the last error. Zero
	// means that the error ends Handle, which returns it.
	Refuse ReasonCode
}

// User properties of a dead letter; see FailurePolicy.DeadLetter.
const (
	DeadLetterTopic    = "dead-letter-topic"    // the topic of the message
	DeadLetterError    = "dead-letter-error"    // the text of the error, at most 1,024 bytes
	DeadLetterAttempts = "dead-letter-attempts" // how often the function was called, in decimal
)

// clone returns a copy that the caller cannot change; nil of nil.
func (p *FailurePolicy) clone() *FailurePolicy {
	if p == nil {
		return nil
	}
	return new(*p)
}

// validate refuses what cannot work for a Subscription with o.
func (p *FailurePolicy) validate(o *SubscribeOptions, prefixes filterPrefixes) error {
	const what = "failure policy"
	if p == nil {
		return nil
	}
	if err := p.Backoff.Validate(); err != nil {
		return invalid(what, "%w", err)
	}
	switch {
	case p.Backoff.MaxAttempts != 0 || p.Backoff.HealthyAfter != 0:
		return invalid(what, "MaxAttempts and HealthyAfter of Backoff have no meaning; Attempts counts")
	case p.Refuse != Success && (!p.Refuse.Failed() || refusalOf(p.Refuse) != p.Refuse):
		return invalid(what, "%v cannot refuse a message", p.Refuse)
	case p.DeadLetter == "":
		return nil
	case o.Overflow == Block:
		return invalid(what, "a Subscription with Block cannot wait for the server to take a dead letter")
	}
	if err := match.ValidateTopic(p.deadLetterTopic("t")); err != nil {
		return invalid(what, "%w", err)
	}
	for _, f := range o.Filters {
		if slices.ContainsFunc(prefixes.topics(f.Filter), p.comesBack) {
			return invalid(what, "filter %.80q would receive the dead letters on %.80q", f.Filter, p.DeadLetter)
		}
	}
	return nil
}

// deadLetterTopic returns where a message on topic goes.
func (p *FailurePolicy) deadLetterTopic(topic string) string {
	if prefix, ok := strings.CutSuffix(p.DeadLetter, "/#"); ok {
		return prefix + "/" + topic
	}
	return p.DeadLetter
}

// comesBack reports whether a Subscription to filter could receive its own dead letters,
// whose own dead letters would come back in turn.
func (p *FailurePolicy) comesBack(filter string) bool {
	prefix, below := strings.CutSuffix(p.DeadLetter, "/#")
	if !below {
		return match.MatchPlain(filter, p.DeadLetter)
	}
	// Each time the topic becomes longer, so only a filter for every length can match.
	levels, ok := strings.CutSuffix("/"+filter, "/#")
	if !ok {
		return false
	}
	if strings.HasPrefix(prefix, "$") && (filter[0] == '+' || filter[0] == '#') {
		return false // [MQTT-4.7.2-1]
	}
	wanted := strings.Split(levels, "/")[1:]
	for i, level := range strings.Split(prefix, "/") {
		if i == len(wanted) {
			break
		}
		if wanted[i] != "+" && wanted[i] != level {
			return false
		}
	}
	return true
}
