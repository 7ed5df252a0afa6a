package mqtt

import (
	"github.com/seed65a45251/mqtt/wire"
)

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
	// Auto, the zero value, tries 5.0 with each server and falls back to 3.1.1 when the
	// server refuses 5.0 or hangs up. ServerInfo has the version in use and the reason.
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
//	String() string // the name in the specification
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

// The reason codes of MQTT 5.0. The return codes of 3.1 and 3.1.1 are mapped to
// their counterparts. Codes of 0x80 and above are failures.
const (
	Success                             = wire.Success
	GrantedQoS1                         = wire.GrantedQoS1
	GrantedQoS2                         = wire.GrantedQoS2
	DisconnectWithWill                  = wire.DisconnectWithWill
	NoMatchingSubscribers               = wire.NoMatchingSubscribers
	NoSubscriptionExisted               = wire.NoSubscriptionExisted
	ContinueAuthentication              = wire.ContinueAuthentication
	Reauthenticate                      = wire.Reauthenticate
	UnspecifiedError                    = wire.UnspecifiedError
	MalformedPacket                     = wire.MalformedPacket
	ProtocolError                       = wire.ProtocolError
	ImplementationSpecificError         = wire.ImplementationSpecificError
	UnsupportedProtocolVersion          = wire.UnsupportedProtocolVersion
	ClientIdentifierNotValid            = wire.ClientIdentifierNotValid
	BadUserNameOrPassword               = wire.BadUserNameOrPassword
	NotAuthorized                       = wire.NotAuthorized
	ServerUnavailable                   = wire.ServerUnavailable
	ServerBusy                          = wire.ServerBusy
	Banned                              = wire.Banned
	ServerShuttingDown                  = wire.ServerShuttingDown
	BadAuthenticationMethod             = wire.BadAuthenticationMethod
	KeepAliveTimeout                    = wire.KeepAliveTimeout
	SessionTakenOver                    = wire.SessionTakenOver
	TopicFilterInvalid                  = wire.TopicFilterInvalid
	TopicNameInvalid                    = wire.TopicNameInvalid
	PacketIdentifierInUse               = wire.PacketIdentifierInUse
	PacketIdentifierNotFound            = wire.PacketIdentifierNotFound
	ReceiveMaximumExceeded              = wire.ReceiveMaximumExceeded
	TopicAliasInvalid                   = wire.TopicAliasInvalid
	PacketTooLarge                      = wire.PacketTooLarge
	MessageRateTooHigh                  = wire.MessageRateTooHigh
	QuotaExceeded                       = wire.QuotaExceeded
	AdministrativeAction                = wire.AdministrativeAction
	PayloadFormatInvalid                = wire.PayloadFormatInvalid
	RetainNotSupported                  = wire.RetainNotSupported
	QoSNotSupported                     = wire.QoSNotSupported
	UseAnotherServer                    = wire.UseAnotherServer
	ServerMoved                         = wire.ServerMoved
	SharedSubscriptionsNotSupported     = wire.SharedSubscriptionsNotSupported
	ConnectionRateExceeded              = wire.ConnectionRateExceeded
	MaximumConnectTime                  = wire.MaximumConnectTime
	SubscriptionIdentifiersNotSupported = wire.SubscriptionIdentifiersNotSupported
	WildcardSubscriptionsNotSupported   = wire.WildcardSubscriptionsNotSupported
)
