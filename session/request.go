package session

import (
	"errors"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// Request is a SUBSCRIBE or UNSUBSCRIBE under way. Exactly one of the two is set; the
// engine sets its PacketID. A Request belongs to its connection: when that is lost,
// the Request ends with ErrConnectionLost.
type Request struct {
	Subscribe   *wire.Subscribe
	Unsubscribe *wire.Unsubscribe
	Owner       any // the caller's own; the engine does not look at it

	// What the server answered, set when the request is answered.
	ReasonCodes    []wire.ReasonCode // one per filter; none for UNSUBACK before 5.0
	ReasonString   string
	UserProperties []wire.UserProperty
	Err            error // the request got no valid answer

	sender     requester // gets it back when it has ended; nil: Client.Answered returns it
	begin, end uint64    // its position on the connection
}

// filterKeys yields a key for each filter of r. Blame is kept by filter, because
// every connection has new requests, with other identifiers and often with other
// combinations of filters.
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

// requester sends requests of its own, as Subscriptions does.
type requester interface {
	// requestEnded takes back a request that was answered or failed. A request that ends
	// with its connection does not come back: its filters are asked for anew.
	requestEnded(r *Request)
}

var errNoRequest = errors.New("request is not exactly one of SUBSCRIBE and UNSUBSCRIBE")

// check returns the limit of the server that r breaks, or nil.
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
