package mqtt

import (
	"fmt"
	"strings"
)

// UnfinishedError says what Disconnect has left behind. Errors have a pointer to it: find
// it with errors.AsType[*mqtt.UnfinishedError](err). It wraps the cause of the context
// that ended, or what ended the client meanwhile. It wraps nothing where Disconnect did
// not wait until then: nobody was there to take the messages, or nothing moved.
type UnfinishedError struct {
	// Published counts messages that were accepted for publishing and are not known to
	// have arrived: at QoS 1 and 2 those without the server's acknowledgement, at QoS 0
	// those that were not written. The error of their Delivery says by NotSent which of
	// them the server cannot have. What Config.Store has is sent by the next client that
	// gets it.
	Published int
	// Received counts messages that have come and are not finished:
	//
	//   - those that no consumer has taken, and those that no Subscription has claimed;
	//   - those that a consumer has and has not acknowledged: a function of Handle, the
	//     body of a loop over All, a program that holds a message of ManualAck;
	//   - those whose acknowledgement the server may not have. At QoS 1 and 2
	//     acknowledgements go out in order, so one message that is held holds back those
	//     of later ones.
	//
	// Where the session stays, those above AtMostOnce come again to the next process of
	// this client, also if a consumer finishes with them after Disconnect. Where it ends,
	// and at AtMostOnce, those that nobody has taken are lost. A message that went to
	// several Subscriptions counts once, also if some of them have finished with it: it
	// comes again for all of them.
	Received int
	// Requests counts calls of Request that had no response.
	Requests int

	err error // nil: nothing was waited for
}

// Error says how many of each are left.
func (e *UnfinishedError) Error() string {
	var left []string
	for _, c := range []struct {
		n    int
		what string
	}{{e.Published, "published messages"}, {e.Received, "received messages"}, {e.Requests, "requests"}} {
		if c.n > 0 {
			left = append(left, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	text := strings.Join(left, ", ") + " unfinished"
	if e.err != nil {
		text += ": " + inner{e.err}.Error()
	}
	return text
}

// Unwrap returns why Disconnect has not waited any longer.
func (e *UnfinishedError) Unwrap() error { return e.err }

// add adds what another client has left.
func (e *UnfinishedError) add(o *UnfinishedError) {
	e.Published += o.Published
	e.Received += o.Received
	e.Requests += o.Requests
}

// none says that nothing is left.
func (e *UnfinishedError) none() bool { return e.Published == 0 && e.Received == 0 && e.Requests == 0 }
