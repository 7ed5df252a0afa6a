package wire

import (
	"fmt"
	"strings"
)

// ReasonCode says how an operation ended. It is an error, so errors.Is(err, NotAuthorized) works.
// Failed reports whether it stands for a failure.
type ReasonCode byte

// The 43 reason codes of 5.0. Earlier versions have fewer; they are translated.
const (
	Success                             ReasonCode = 0x00
	GrantedQoS1                         ReasonCode = 0x01
	GrantedQoS2                         ReasonCode = 0x02
	DisconnectWithWill                  ReasonCode = 0x04
	NoMatchingSubscribers               ReasonCode = 0x10
	NoSubscriptionExisted               ReasonCode = 0x11
	ContinueAuthentication              ReasonCode = 0x18
	Reauthenticate                      ReasonCode = 0x19
	UnspecifiedError                    ReasonCode = 0x80
	MalformedPacket                     ReasonCode = 0x81
	ProtocolError                       ReasonCode = 0x82
	ImplementationSpecificError         ReasonCode = 0x83
	UnsupportedProtocolVersion          ReasonCode = 0x84
	ClientIdentifierNotValid            ReasonCode = 0x85
	BadUserNameOrPassword               ReasonCode = 0x86
	NotAuthorized                       ReasonCode = 0x87
	ServerUnavailable                   ReasonCode = 0x88
	ServerBusy                          ReasonCode = 0x89
	Banned                              ReasonCode = 0x8A
	ServerShuttingDown                  ReasonCode = 0x8B
	BadAuthenticationMethod             ReasonCode = 0x8C
	KeepAliveTimeout                    ReasonCode = 0x8D
	SessionTakenOver                    ReasonCode = 0x8E
	TopicFilterInvalid                  ReasonCode = 0x8F
	TopicNameInvalid                    ReasonCode = 0x90
	PacketIdentifierInUse               ReasonCode = 0x91
	PacketIdentifierNotFound            ReasonCode = 0x92
	ReceiveMaximumExceeded              ReasonCode = 0x93
	TopicAliasInvalid                   ReasonCode = 0x94
	PacketTooLarge                      ReasonCode = 0x95
	MessageRateTooHigh                  ReasonCode = 0x96
	QuotaExceeded                       ReasonCode = 0x97
	AdministrativeAction                ReasonCode = 0x98
	PayloadFormatInvalid                ReasonCode = 0x99
	RetainNotSupported                  ReasonCode = 0x9A
	QoSNotSupported                     ReasonCode = 0x9B
	UseAnotherServer                    ReasonCode = 0x9C
	ServerMoved                         ReasonCode = 0x9D
	SharedSubscriptionsNotSupported     ReasonCode = 0x9E
	ConnectionRateExceeded              ReasonCode = 0x9F
	MaximumConnectTime                  ReasonCode = 0xA0
	SubscriptionIdentifiersNotSupported ReasonCode = 0xA1
	WildcardSubscriptionsNotSupported   ReasonCode = 0xA2
)

// In SUBACK, Success is called GrantedQoS0, and in DISCONNECT NormalDisconnection.
const (
	GrantedQoS0         = Success
	NormalDisconnection = Success
)

// String returns the specification's name, or "reason code 0x7B" for an undefined number.
func (c ReasonCode) String() string {
	if name := reasonTable[c].name; name != "" {
		return name
	}
	return fmt.Sprintf("reason code 0x%02X", byte(c))
}

// Error returns the name and the number, such as "not authorized (0x87)".
func (c ReasonCode) Error() string {
	name := reasonTable[c].name
	if name == "" {
		return c.String()
	}
	name = strings.ReplaceAll(strings.ToLower(name), "qos", "QoS")
	return fmt.Sprintf("%s (0x%02X)", name, byte(c))
}

// Failed reports whether the code stands for a failure: 0x80 and above.
func (c ReasonCode) Failed() bool { return c >= 0x80 }

// permitted reports whether the sender may use the code in packet t.
func (c ReasonCode) permitted(t PacketType, from Sender) bool {
	if from == FromClient {
		return reasonTable[c].client.has(t)
	}
	return reasonTable[c].server.has(t)
}

// returnCode translates the reason of a CONNACK into a return code of versions before 5.0. ok is
// false if they have none: a server then closes the connection without a CONNACK.
func (c ReasonCode) returnCode() (code byte, ok bool) {
	switch c {
	case Success:
		return 0, true
	case UnsupportedProtocolVersion:
		return 1, true
	case ClientIdentifierNotValid:
		return 2, true
	case ServerUnavailable, ServerBusy, ConnectionRateExceeded:
		return 3, true
	case BadUserNameOrPassword:
		return 4, true
	case NotAuthorized, Banned, BadAuthenticationMethod:
		return 5, true
	}
	return 0, false
}

// returnCodes are the reason codes for the return codes 0 to 5 of versions before 5.0.
var returnCodes = [...]ReasonCode{
	Success,
	UnsupportedProtocolVersion,
	ClientIdentifierNotValid,
	ServerUnavailable,
	BadUserNameOrPassword,
	NotAuthorized,
}
