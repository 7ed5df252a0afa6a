package mqtt

// FullPolicy says what becomes of a message to be published for which the queue
// of messages that wait to be sent has no space.
type FullPolicy uint8

// What to do when the queue is full. Only messages that were never sent are
// dropped. A dropped message fails with ErrQueueFull: its Publish or its Delivery
// says so, and Stats counts it.
const (
	FullBlock      FullPolicy = iota // wait for space under the context of the call
	FullFail                         // return ErrQueueFull at once
	FullDropOldest                   // drop the message of the same class that has waited longest; fail if there is none
	FullDropNewest                   // drop this message: PublishAsync returns a Delivery that has failed
)

// WhenFull has a policy for each class of messages. They share the queue.
type WhenFull struct {
	AtMostOnce   FullPolicy // QoS 0
	Acknowledged FullPolicy // QoS 1 and 2
}

func (w WhenFull) policy(qos QoS) FullPolicy {
	if qos == AtMostOnce {
		return w.AtMostOnce
	}
	return w.Acknowledged
}
