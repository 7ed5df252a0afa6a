package mqtt

import "github.com/seed65a45251/mqtt/wire"

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
