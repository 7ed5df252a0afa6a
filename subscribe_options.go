package mqtt

import "github.com/seed65a45251/mqtt/match"

// SubscribeOptions describe a Subscription in full.
type SubscribeOptions struct {
	// Filters are what to subscribe to, at least one. $share/group/filter is a shared
	// subscription. Filters of one Subscription should not overlap: a server may send a
	// message once for each filter that it matches, as Mosquitto does on 5.0.
	//
	// Filters of different Subscriptions may overlap where the server has subscription
	// identifiers: each Subscription gets the message once. Without them, before 5.0
	// for example, a server may send several copies (NATS does), which look like
	// different messages with the same content. Each Subscription then gets all of
	// them. OwnConnection for all but one Subscription avoids that.
	Filters []Filter
	// ManualAck leaves the acknowledgement of QoS 1 and 2 messages to Message.Ack. Zero
	// means that a message is acknowledged when it is handed over: by Stream, Messages
	// and Next when the consumer has it, by All after the loop body, by Handle when the
	// function has returned nil.
	ManualAck bool

	// BufferMessages and BufferBytes bound the QoS 0 messages that wait for a consumer.
	// Overflow decides about messages beyond that. Bytes are those of memory: topic,
	// payload and properties as they are stored. Zero means 4,096 messages and 16 MiB.
	// An empty buffer takes a message of any size.
	//
	// At QoS 1 and 2, Config.ReceiveMaximum messages and another BufferBytes may wait,
	// over reconnects and lost sessions too. A message that finds no space stays with
	// the server. The client first stops reading for up to a second, until a consumer
	// takes something. Then it leaves that message and those behind it without an
	// acknowledgement, and Watch reports ErrQueueFull. When half of the space is free, and
	// enough for the first of them, the client reconnects by itself and gets the messages
	// that it has left. If bytes were short, it announces a smaller receive maximum (5.0)
	// for the next connections. A consumer that waits for the server, in Publish for
	// example, may have to wait for that second too.
	//
	// Where the session ends with the connection (before 5.0 without Config.Resume, or
	// with a negative SessionExpiry), the client stops reading for up to ten seconds
	// instead. Messages that it leaves then are lost and count as Dropped.
	BufferMessages int
	BufferBytes    int
	Overflow       Overflow

	// OwnConnection gives the Subscription a connection of its own, for a consumer that
	// may be slow or stuck. On one connection, a message that is held holds up the
	// acknowledgements of all later messages, whichever Subscription they belong to.
	// After Config.ReceiveMaximum of them the server sends nothing more at QoS 1 and 2.
	//
	// Subscribe makes the connection, as Config says and under its context. The
	// connection lives as long as the Subscription and the client. It has no will. Its
	// client identifier is Config.ClientID with "-" and eight letters and digits that
	// depend on the filters only, so that a session that stays (Config.Resume) is found
	// again. Further ones at the same time end in "-2" and so on. Without a ClientID,
	// the library makes the identifier. The server has to allow this identifier all
	// that it allows the client.
	//
	// Config.Attempt (which gets this ClientID), Permanent and Redirect are called for
	// this connection too, perhaps at the same time as for the client's. It goes
	// through Servers by itself and may be on another one. ServerInfo, State, Flush and
	// Reconnect do not include it, and Client.Unsubscribe does not reach it. Watch
	// reports what concerns the Subscription, with Event.Subscription set: why the
	// connection was lost, a lost session, and the end. If the connection ends for
	// good, the Subscription ends with the reason, and the client continues.
	//
	// Unsubscribe and Drain end the session too (before 5.0 with Config.Resume the
	// server keeps an empty one). Messages that a Handle has not finished wait for the
	// next Handle of the same filters. Zero means that the Subscription shares the
	// client's connection.
	OwnConnection bool

	// UserProperties go with SUBSCRIBE (5.0).
	UserProperties []UserProperty

	// Subscribed is called once, when the server has granted all filters and before the
	// call that subscribes goes on: before Handle and Respond of the Client take the
	// first message, and before SubscribeWith returns. With it a program knows that a
	// Handle or Respond has begun, and has its Subscription. It runs in the goroutine of
	// the call, and messages wait for its return. If nil, nothing is called.
	Subscribed func(*Subscription)

	// KeepShared leaves shared filters subscribed where the server keeps the session
	// (Config.Resume). Zero means that they are unsubscribed when their worker ends in
	// order: when Client.Handle returns, or with Close, Disconnect or DisconnectWith. A
	// filter that stays subscribed makes the server give the absent worker its share of
	// the messages, which others could handle. The server keeps messages that the
	// worker has received and not acknowledged, or gives them to the others, as it
	// likes. Drain before the end leaves as few of them as possible.
	KeepShared bool

	// What follows is for Handle.

	// Lend makes messages valid, with all that they point to, only until the function
	// returns. On a busy connection they are then not copied and cost no allocation.
	// Message.Clone returns a copy to keep. Zero means that messages belong to the
	// function. Without Handle, messages always belong to their receiver.
	Lend bool
	// Concurrency is how many calls of the function may run at once. Messages with the
	// same key are still handled one after the other, in their order, unless Unordered
	// is set. Zero means one. (For Respond use RespondOptions.Concurrency.)
	Concurrency int
	// OrderBy returns the key of a message, with Concurrency. If nil, it is the topic:
	// the messages of one topic are handled one after the other.
	OrderBy func(*Message) string
	// Unordered gives up the order, with Concurrency: each message goes to the next call
	// that is free, whatever its topic. Set it where messages are independent of each
	// other. Calls begin in the order of the messages. The acknowledgements keep the
	// order of arrival all the same. Zero means that messages with the same key keep
	// their order.
	Unordered bool
	// OnFailure says what becomes of a message for which the function fails: further
	// attempts, a dead letter, a refusal. If nil, the error ends Handle.
	OnFailure *FailurePolicy
}

// Overflow decides about a QoS 0 message for which the buffer of a Subscription has no
// space. QoS 1 and 2 messages stay with the server then; see
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
func (o *SubscribeOptions) validateAll(prefixes filterPrefixes) error {
	switch {
	case o.Concurrency < 0:
		return invalid("concurrency", "is negative")
	case o.Concurrency > maxConcurrency:
		return invalid("concurrency", "%d is more than %d", o.Concurrency, maxConcurrency)
	case o.Unordered && o.OrderBy != nil:
		return invalid("options", "OrderBy says which order to keep, and Unordered to keep none")
	case o.Lend && o.ManualAck:
		return invalid("options", "a lent message is gone when the function returns, so it cannot be ManualAck")
	}
	if err := o.validate(); err != nil {
		return err
	}
	return o.OnFailure.validate(o, prefixes)
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
