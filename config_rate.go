package mqtt

import (
	"math"
	"time"
)

// PublishRate bounds what a client publishes in time, for servers that have quotas. The
// messages of all callers count, at every QoS, and repeats after a reconnect do, too.
// What has to wait is in the queue, with all that Config says of it: QueueMessages,
// QueueAge, WhenFull. A message that is NotQueued fails instead with ErrQueueFull.
// Subscriptions, acknowledgements and pings never wait.
//
// In any period the client sends no more than the period and Burst together allow, and one
// message. So at 100 messages a second and the Burst that zero means, no second has more
// than 102.
type PublishRate struct {
	// Messages is how many messages may be sent in a second. It may be a fraction. Zero
	// means any number.
	Messages float64
	// Bytes is how many bytes the PUBLISH packets of a second may have. A packet with
	// more is sent all the same, and what follows waits accordingly. Zero means any
	// number.
	Bytes float64
	// Burst is for how long the allowance of a client that sends nothing adds up. Zero
	// means 10 milliseconds: messages are spaced evenly.
	Burst time.Duration
}

// limits reports whether r has any limit.
func (r PublishRate) limits() bool { return r.Messages > 0 || r.Bytes > 0 }

func (r PublishRate) validate() error {
	if !(r.Messages >= 0) || math.IsInf(r.Messages, 0) {
		return invalid("Config.PublishRate", "%v messages a second", r.Messages)
	}
	if !(r.Bytes >= 0) || math.IsInf(r.Bytes, 0) {
		return invalid("Config.PublishRate", "%v bytes a second", r.Bytes)
	}
	switch {
	case r.Burst < 0:
		return invalid("Config.PublishRate", "burst of %v is negative", r.Burst)
	case r.Burst > 0 && !r.limits():
		return invalid("Config.PublishRate", "a burst needs Messages or Bytes")
	}
	return checkTimeout("Config.PublishRate: burst", r.Burst)
}
