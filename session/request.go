package session

import (
	"errors"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// Request is a SUBSCRIBE or UNSUBSCRIBE on its way. Exactly one of the two is
// set; its PacketID is the engine's. Requests belong to the connection: when it
// is lost they end with ErrConnectionLost.
type Request struct {
	Subscribe   *wire.Subscribe
	Unsubscribe *wire.Unsubscribe
	Owner       any // the caller's own; the engine does not look at it

	// What the server answered, set when the request is answered.
	ReasonCodes    []wire.ReasonCode // one per filter; none for UNSUBACK before 5.0
	ReasonString   string
	UserProperties []wire.UserProperty
	Err            error // the request got no valid answer

	sender     requester // gets it back when it has ended; nil: Client.Answered does
	begin, end uint64    // where on the connection it is
}

// filterKeys yields a key for each filter of r. Requests are made anew for each
// connection, with other identifiers and often with other neighbours, so what is held
// against them is held against their filters.
func (r *Request) filterKeys(yield func(string) bool) {
	if r.Subscribe != nil {
		for _, f := range r.Subscribe.Filters {
			if !yield("s" + f.Filter) {
				return
			}
		}
		return
	}
	for _, f := range r.Unsubscribe.Filters {
		if !yield("u" + f) {
			return
		}
	}
}

// requester is what sends requests of its own: Subscriptions.
type requester interface {
	// requestEnded takes back a request that was answered, or that failed. Those that end
	// with their connection do not come back: what they asked for is sent anew.
	requestEnded(r *Request)
}

var errNoRequest = errors.New("request is not exactly one of SUBSCRIBE and UNSUBSCRIBE")

// check returns which limit of the server r breaks, if any.
func (r *Request) check(l *Limits) error {
	if (r.Subscribe == nil) == (r.Unsubscribe == nil) {
		return errNoRequest
	}
	if r.Subscribe == nil {
		return nil
	}
	if r.Subscribe.SubscriptionID != 0 && l.NoSubscriptionIDs {
		return &LimitError{wire.SubscriptionIdentifiersNotSupported, "server does not support subscription identifiers"}
	}
	for _, f := range r.Subscribe.Filters {
		if l.NoWildcards && match.HasWildcard(f.Filter) {
			return &LimitError{wire.WildcardSubscriptionsNotSupported, "server does not support wildcard subscriptions"}
		}
		if _, _, shared := match.SplitShared(f.Filter); shared && l.NoShared {
			return &LimitError{wire.SharedSubscriptionsNotSupported, "server does not support shared subscriptions"}
		}
	}
	return nil
}
