package mqtt

import "github.com/seed65a45251/mqtt/wire"

// QoS is the quality of service of a message or a subscription.
type QoS = wire.QoS

// The three levels of delivery.
const (
	AtMostOnce  = wire.AtMostOnce  // may be lost
	AtLeastOnce = wire.AtLeastOnce // arrives, perhaps more than once
	ExactlyOnce = wire.ExactlyOnce // arrives once
)

// Version is a version of MQTT.
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
// errors.Is(err, mqtt.NotAuthorized) works wherever a code came from.
type ReasonCode = wire.ReasonCode

// UserProperty is a name and a value that travel with a packet (5.0). Order
// and repetition are kept.
type UserProperty = wire.UserProperty

// Filter is one Topic Filter of a subscription with its options.
type Filter = wire.SubscribeFilter

// RetainHandling says whether subscribing brings retained messages (5.0).
type RetainHandling = wire.RetainHandling

// When retained messages are sent.
const (
	SendRetained      = wire.SendRetained      // on every SUBSCRIBE
	SendRetainedIfNew = wire.SendRetainedIfNew // only if the subscription did not exist
	DontSendRetained  = wire.DontSendRetained  // never
)
