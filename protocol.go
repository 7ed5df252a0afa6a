package mqtt

import "github.com/seed65a45251/mqtt/wire"

// QoS is the quality of service of a message or a subscription: [AtMostOnce],
// [AtLeastOnce] or [ExactlyOnce], the numbers 0, 1 and 2. It has no methods.
type QoS = wire.QoS

// The three levels of delivery.
const (
	AtMostOnce  = wire.AtMostOnce  // may be lost
	AtLeastOnce = wire.AtLeastOnce // arrives, perhaps more than once
	ExactlyOnce = wire.ExactlyOnce // arrives once
)

// Version is a version of MQTT. Its number is the protocol level: 3, 4 or 5. It has
// one method:
//
//	String() string // "3.1", "3.1.1", "5.0", or "auto" for the zero value
type Version = wire.Version

// The versions a client can speak.
const (
	// Auto, the zero value, tries 5.0 with each server and falls back to 3.1.1 when
	// that refuses it or hangs up. ServerInfo tells which it became, and why.
	Auto Version = 0
	V5           = wire.V5
	V311         = wire.V311
	V31          = wire.V31
)

// ReasonCode is what a server says about a request. It is an error, so that
// errors.Is(err, mqtt.NotAuthorized) works wherever a code came from. It has these
// methods:
//
//	Failed() bool   // whether it stands for a failure: 0x80 and above
//	Error() string  // the name and the number, such as "not authorized (0x87)"
//	String() string // the name that the specification gives it
type ReasonCode = wire.ReasonCode

// UserProperty is a name and a value that travel with a packet (5.0). Order
// and repetition are kept. Its fields are:
//
//	Name  string
//	Value string
type UserProperty = wire.UserProperty

// Filter is one Topic Filter of a subscription with its options. Before 5.0 the QoS is
// the only option. Its fields are:
//
//	Filter            string         // the Topic Filter, such as "sensors/+/temp"
//	QoS               QoS            // the highest QoS that messages are sent with
//	NoLocal           bool           // leave out what this client publishes
//	RetainAsPublished bool           // keep the retain flag that the message was published with
//	RetainHandling    RetainHandling // when retained messages are sent
type Filter = wire.SubscribeFilter

// RetainHandling says whether subscribing brings retained messages (5.0):
// [SendRetained], which is the zero value, [SendRetainedIfNew] or [DontSendRetained].
// It has no methods.
type RetainHandling = wire.RetainHandling

// When retained messages are sent.
const (
	SendRetained      = wire.SendRetained      // on every SUBSCRIBE
	SendRetainedIfNew = wire.SendRetainedIfNew // only if the subscription did not exist
	DontSendRetained  = wire.DontSendRetained  // never
)
