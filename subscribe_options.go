package mqtt

import "github.com/seed65a45251/mqtt/match"

// SubscribeOptions describe a Subscription in full.
type SubscribeOptions struct {
	// Filters are what to subscribe to, at least one. $share/group/filter is a
	// shared subscription. Filters of one Subscription should not overlap: a
	// server may send a message once for each that it matches, as Mosquitto does
	// on 5.0. Filters of different Subscriptions may overlap where the server has
	// subscription identifiers: each gets the message once. Without them, before 5.0
	// for example, nothing tells the copies of a server that sends several (NATS does)
	// from different messages with the same content, so each Subscription gets all of
	// them; OwnConnection for all but one avoids it.
	Filters []Filter
	// ManualAck leaves the acknowledgement of QoS 1 and 2 messages to
	// Message.Ack. Otherwise a message is acknowledged when it is handed over:
	// by Stream, Messages and Next when the consumer has it, by All when the loop
	// body is done with it, by Handle when the function has returned nil.
	ManualAck bool

	// BufferMessages and BufferBytes bound the QoS 0 messages that wait for a consumer;
	// Overflow says what happens beyond. Bytes are those of memory: topic, payload and
	// properties as they lie there. Zero means 4,096 messages and 16 MiB. An empty buffer
	// takes a message of any size.
	//
	// At QoS 1 and 2 Config.ReceiveMaximum messages and once more BufferBytes may wait,
	// over reconnects and lost sessions too. What finds no space stays with the server:
	// for up to a second nothing is read, until a consumer takes something; after that
	// further messages are left without an acknowledgement, and with them those that
	// come behind. Watch tells (ErrQueueFull). When half of the space is free, the
	// client reconnects by itself and gets what it has left; if it was for the bytes,
	// it announces a smaller receive maximum (5.0) for the next connections. A
	// consumer that waits for the server, in Publish for example, has to expect that
	// second. Where the session ends with the connection (before 5.0 without
	// Config.Resume, or with a negative SessionExpiry) the client waits up to ten
	// seconds instead, and what it leaves then is lost: it counts as Dropped.
	BufferMessages int
	BufferBytes    int
	Overflow       Overflow

	// OwnConnection gives the Subscription a connection of its own, for a consumer
	// that may be slow or stuck: on one connection a message that is held holds up
	// the acknowledgements of all that came later, whichever Subscription wants them, and after
	// Config.ReceiveMaximum of them the server sends nothing more at QoS 1 and 2.
	//
	// The connection is made as Config says, by Subscribe, under its context, and
	// lives as long as the Subscription and the client. Its client identifier is
	// Config.ClientID with "-" and eight letters and digits that depend on the filters
	// only, so that a session that stays (Config.Resume) is found again; with "-2" and
	// so on for further ones at the same time. The server has to allow it all that
	// this client may do. Without a ClientID it gets one made by the library. It has
	// no will. Config.Attempt (which gets its ClientID), Permanent and Redirect are
	// called for it too, perhaps at the same time. It walks over Servers by itself and
	// may be on another one. ServerInfo, State, Flush and Reconnect do not know of it.
	// Watch tells of it what concerns the Subscription: with that set, why the
	// connection was lost, a lost session, and the end. If it ends for good, the
	// Subscription ends with the reason, and the client goes on. Unsubscribe and Drain
	// end the session too (before 5.0 with Config.Resume the server keeps an empty
	// one). What a Handle has not finished waits for the next Handle of the same
	// filters. Client.Unsubscribe does not reach it. Zero means that the Subscription
	// shares the client's connection.
	OwnConnection bool

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
	// function's own. Without Handle messages are always their receiver's own.
	Lend bool
	// Concurrency is how many calls of the function may run at once. Messages with
	// the same key are still handled one after the other, in their order. Zero
	// means one. (Respond has the same setting in RespondOptions.Concurrency.)
	Concurrency int
	// OrderBy returns the key of a message, with Concurrency. If nil, it is the topic.
	OrderBy func(*Message) string
}

// Overflow says what a Subscription does with a QoS 0 message for which its
// buffer has no space. QoS 1 and 2 messages stay with the server then; see
// SubscribeOptions.BufferBytes.
type Overflow uint8

// What to do when the buffer is full.
const (
	DropNewest Overflow = iota // drop the message that just came
	DropOldest                 // drop the QoS 0 message that has waited longest
	// Block stops reading from the connection until half of the buffer is free. It
	// slows the server down by TCP back-pressure, and with it everything else on
	// the connection: other subscriptions, acknowledgements, keep-alive. The
	// consumer must not wait for the server, by Publish, Subscribe, Unsubscribe or
	// Flush: the answer may be behind the message that finds no space.
	Block
)

// shared returns the filters that are shared.
func (o *SubscribeOptions) shared() (filters []string) {
	for _, f := range o.Filters {
		if _, _, shared := match.SplitShared(f.Filter); shared {
			filters = append(filters, f.Filter)
		}
	}
	return filters
}

// validateAll refuses, besides what validate refuses, what Handle cannot do.
func (o *SubscribeOptions) validateAll() error {
	switch {
	case o.Concurrency < 0:
		return invalid("concurrency", "is negative")
	case o.Concurrency > maxConcurrency:
		return invalid("concurrency", "%d is more than %d", o.Concurrency, maxConcurrency)
	case o.Lend && o.ManualAck:
		return invalid("options", "a lent message is gone when the function returns, so it cannot be ManualAck")
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
			return invalid("filter", "%q is shared and cannot be NoLocal", f.Filter)
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
