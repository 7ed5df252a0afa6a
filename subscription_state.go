package mqtt

import "sync"

// kind is what a Subscription is for. It is fixed when the Subscription is made.
type kind uint8

const (
	kindStream    kind = iota // made by Subscribe: what nobody takes is dropped at its end
	kindHandled               // made by Client.Handle: what is not finished at its end is kept
	kindLocal                 // made by Route: the server knows nothing of it
	kindResponses             // of Requests: a later process has no use for its filter
)

// state is where a Subscription is in its life. Guarded by router.mu.
//
//	             messages reach it    its queue
//	fresh        no                   empty
//	subscribing  yes                  fills; nobody takes yet
//	active       yes                  is taken from
//	draining     yes                  is taken from; UNSUBSCRIBE is on its way
//	emptying     no                   is taken from until it is empty
//	drained      no                   is closed, after Drain
//	ended        no                   is closed
type state uint8

const (
	fresh state = iota
	subscribing
	active
	draining
	emptying
	drained
	ended
)

// listed says that the router has a Subscription in this state.
func (s state) listed() bool { return s == subscribing || s == active || s == draining }

// hasDrained says that Drain has begun, or is over.
func (s state) hasDrained() bool { return s == draining || s == emptying || s == drained }

// move is what takes a Subscription from one state to another.
type move uint8

const (
	moveAdd     move = iota // the router has it from now on
	moveGranted             // the server has answered
	moveDrain               // Drain has begun
	moveRemove              // the router does not have it any more
	moveEmptied             // no consumer waits for its messages any more
)

// after returns the state that m leads to: s itself where m changes nothing.
func (s state) after(m move) state {
	switch {
	case m == moveAdd && s == fresh:
		return subscribing
	case m == moveGranted && s == subscribing:
		return active
	case m == moveDrain && (s == subscribing || s == active):
		return draining
	case m == moveRemove && s == draining:
		return emptying
	case m == moveRemove && s.listed():
		return ended
	case m == moveEmptied && s == emptying:
		return drained
	}
	return s
}

// firstAnswer is how SUBSCRIBE was answered for the first time, which somebody waits
// for.
type firstAnswer struct {
	once   sync.Once
	err    error // set before done is closed, as is partly
	partly bool  // only some of the filters were refused
	done   chan struct{}
}

// conclude ends the wait. It reports whether this was the first answer.
func (f *firstAnswer) conclude(err error, partly bool) (first bool) {
	f.once.Do(func() {
		f.err, f.partly = err, partly
		first = true
		close(f.done)
	})
	return first
}

// begun reports whether nothing was answered before.
func (f *firstAnswer) begun() bool {
	select {
	case <-f.done:
		return false
	default:
		return true
	}
}
