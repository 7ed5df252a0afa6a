package mqtt

import "context"

// Handle subscribes and calls f forevery message like Subscription.Handle, until ctx
// or the Subscription ends, or f fails. Its Subscription ends with it: SubscribeWith
// and Subscription.Handle are for those who want to know when it has begun, and to
// go on with it afterwards.
//
// What f has not finished by then stays unacknowledged, above AtMostOnce: the
// next Handle, Subscription or Route of this client whose filter matches gets it
// first, and as long as none does, it holds up the acknowledgements behind it. The
// same goes for a panic in the caller's goroutine.
// With Config.Resume the server keeps the subscription too, so that nothing is
// lost between two processes; Client.Unsubscribe ends it. Filters that are shared
// it does not keep, unless SubscribeOptions.KeepShared is set: other workers are to
// have what comes. Otherwise Handle unsubscribes when it ends, without waiting for
// the answer.
//
// If the server refuses one of the filters, Handle returns that *ServerError.
func (c *Client) Handle(ctx context.Context, o SubscribeOptions, f func(context.Context, *Message) error) error {
	if f == nil {
		return errNoFunction(&o)
	}
	s, err := c.subscribe(ctx, o, kindHandled)
	if s == nil {
		return err
	}
	defer s.endHandled() // also when f panics
	if err != nil {
		return err // some filters were refused
	}
	return s.Handle(ctx, f)
}
