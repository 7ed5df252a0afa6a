package mqtt

import "github.com/seed65a45251/mqtt/match"

// SubscribeOptions describe a Subscription in full.
type SubscribeOptions struct {
	// Filters are what to subscribe to, at least one. $share/group/filter is a
	// shared subscription. Filters of one Subscription should not overlap: a
	// server may send a message once for each that it matches, as Mosquitto does
	// on 5.0. Between Subscriptions they may.
	Filters []Filter
	// ManualAck leaves the acknowledgement of QoS 1 and 2 messages to
	// Message.Ack. Otherwise a message is acknowledged when it is handed over:
	// by Stream, Messages and Next when the consumer has it, by All when the loop
	// body is done with it, by Handle when the function has returned nil.
	ManualAck bool

	// BufferMessages and BufferBytes (of payload) bound the QoS 0 messages that
	// wait for a consumer; Overflow says what happens beyond. Zero means 4,096
	// messages and 16 MiB. QoS 1 and 2 messages are bounded by
	// Config.ReceiveMaximum: what is not acknowledged is not sent.
	BufferMessages int
	BufferBytes    int
	Overflow       Overflow

	// UserProperties go with SUBSCRIBE (5.0).
	UserProperties []UserProperty

	// KeepShared leaves shared filters subscribed where the server keeps the session
	// (Config.Resume). Zero means that they are unsubscribed when their worker ends,
	// in order: by Client.Handle's return, or by Close, Disconnect or DisconnectWith.
	// Otherwise the server would go on to give the absent worker its share of the
	// messages, which others are there to handle. What the worker has received and
	// not acknowledged by then, the server keeps for it or gives to the others, as it
	// likes: Drain before the end leaves as little of that as possible.
	KeepShared bool

	// What follows is for Handle.

	// Lend makes messages valid only until the function returns, with all that they
	// point to: on a busy connection they are not copied and cost no allocation.
	// Message.Clone is for those that are kept. Zero means that messages are the
	// function's own. Who does not receive by Handle gets messages of their own.
	Lend bool
	// Concurrency is how many calls of the function may run at once. Messages with
	// the same key are still handled one after the other, in their order. Zero
	// means one.
	Concurrency int
	// OrderBy returns the key of a message, with Concurrency. Zero means its topic.
	OrderBy func(*Message) string
}

// shared returns the filters that are shared.
func (o *SubscribeOptions) shared() (filters []string) {
	for _, f := range o.Filters {
		if _, _, shared := match.SplitShared(f.Filter); shared {
			filters = append(filters, f.Filter)
		}
	}
	return filters
}

// validateAll refuses, besides what validate refuses, what Handle can not do.
func (o *SubscribeOptions) validateAll() error {
	switch {
	case o.Concurrency < 0:
		return invalid("concurrency", "is negative")
	case o.Concurrency > maxConcurrency:
		return invalid("concurrency", "%d is more than %d", o.Concurrency, maxConcurrency)
	case o.Lend && o.ManualAck:
		return invalid("options", "a lent message is gone when the function returns, so it can not be ManualAck")
	}
	return o.validate()
}

// maxConcurrency is far beyond use; it keeps a typing error from starting
// millions of goroutines.
const maxConcurrency = 1 << 16

func (o *SubscribeOptions) validate() error {
	if len(o.Filters) == 0 {
		return invalid("filters", "none given")
	}
	seen := make(map[string]bool, len(o.Filters))
	for _, f := range o.Filters {
		if err := match.ValidateFilter(f.Filter); err != nil {
			return &argumentError{err: err}
		}
		if f.QoS > ExactlyOnce {
			return invalid("QoS", "%d is not 0, 1 or 2", f.QoS)
		}
		if f.RetainHandling > DontSendRetained {
			return invalid("retain handling", "%d is not 0, 1 or 2", f.RetainHandling)
		}
		// [MQTT-3.8.3-4]
		if _, _, shared := match.SplitShared(f.Filter); shared && f.NoLocal {
			return invalid("filter", "%q is shared and can not be NoLocal", f.Filter)
		}
		if seen[f.Filter] {
			return invalid("filter", "%q is given twice", f.Filter)
		}
		seen[f.Filter] = true
	}
	if o.BufferMessages < 0 || o.BufferBytes < 0 {
		return invalid("buffer", "limit is negative")
	}
	if o.Overflow > Block {
		return invalid("overflow", "unknown policy %d", o.Overflow)
	}
	return validateUserProperties(o.UserProperties)
}
