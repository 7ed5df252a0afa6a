package wire

// reasonTable lists the codes, their names, and in which packets the server and the client may send them.
//
// Two entries follow the text of the specification rather than its tables. The table of DISCONNECT
// leaves out BadAuthenticationMethod, but the list of all codes has it there. Section 3.3.4 asks
// for QoSNotSupported in a client's DISCONNECT.
var reasonTable = [256]struct {
	name           string
	server, client packetSet
}{
	Success:                             {"Success", inConnack | inPublishAcks | inRequestAck | inDisconnect | inAuth, inPublishAcks | inDisconnect},
	GrantedQoS1:                         {"Granted QoS 1", inSuback, 0},
	GrantedQoS2:                         {"Granted QoS 2", inSuback, 0},
	DisconnectWithWill:                  {"Disconnect with Will Message", 0, inDisconnect},
	NoMatchingSubscribers:               {"No matching subscribers", inFirstAck, 0},
	NoSubscriptionExisted:               {"No subscription existed", inUnsuback, 0},
	ContinueAuthentication:              {"Continue authentication", inAuth, inAuth},
	Reauthenticate:                      {"Re-authenticate", 0, inAuth},
	UnspecifiedError:                    {"Unspecified error", inConnack | inFirstAck | inRequestAck | inDisconnect, inFirstAck | inDisconnect},
	MalformedPacket:                     {"Malformed Packet", inConnack | inDisconnect, inDisconnect},
	ProtocolError:                       {"Protocol Error", inConnack | inDisconnect, inDisconnect},
	ImplementationSpecificError:         {"Implementation specific error", inConnack | inFirstAck | inRequestAck | inDisconnect, inFirstAck | inDisconnect},
	UnsupportedProtocolVersion:          {"Unsupported Protocol Version", inConnack, 0},
	ClientIdentifierNotValid:            {"Client Identifier not valid", inConnack, 0},
	BadUserNameOrPassword:               {"Bad User Name or Password", inConnack, 0},
	NotAuthorized:                       {"Not authorized", inConnack | inFirstAck | inRequestAck | inDisconnect, inFirstAck},
	ServerUnavailable:                   {"Server unavailable", inConnack, 0},
	ServerBusy:                          {"Server busy", inConnack | inDisconnect, 0},
	Banned:                              {"Banned", inConnack, 0},
	ServerShuttingDown:                  {"Server shutting down", inDisconnect, 0},
	BadAuthenticationMethod:             {"Bad authentication method", inConnack | inDisconnect, inDisconnect},
	KeepAliveTimeout:                    {"Keep Alive timeout", inDisconnect, 0},
	SessionTakenOver:                    {"Session taken over", inDisconnect, 0},
	TopicFilterInvalid:                  {"Topic Filter invalid", inRequestAck | inDisconnect, 0},
	TopicNameInvalid:                    {"Topic Name invalid", inConnack | inFirstAck | inDisconnect, inFirstAck | inDisconnect},
	PacketIdentifierInUse:               {"Packet Identifier in use", inFirstAck | inRequestAck, inFirstAck},
	PacketIdentifierNotFound:            {"Packet Identifier not found", inRelease, inRelease},
	ReceiveMaximumExceeded:              {"Receive Maximum exceeded", inDisconnect, inDisconnect},
	TopicAliasInvalid:                   {"Topic Alias invalid", inDisconnect, inDisconnect},
	PacketTooLarge:                      {"Packet too large", inConnack | inDisconnect, inDisconnect},
	MessageRateTooHigh:                  {"Message rate too high", inDisconnect, inDisconnect},
	QuotaExceeded:                       {"Quota exceeded", inConnack | inFirstAck | inSuback | inDisconnect, inFirstAck | inDisconnect},
	AdministrativeAction:                {"Administrative action", inDisconnect, inDisconnect},
	PayloadFormatInvalid:                {"Payload format invalid", inConnack | inFirstAck | inDisconnect, inFirstAck | inDisconnect},
	RetainNotSupported:                  {"Retain not supported", inConnack | inDisconnect, 0},
	QoSNotSupported:                     {"QoS not supported", inConnack | inDisconnect, inDisconnect},
	UseAnotherServer:                    {"Use another server", inConnack | inDisconnect, 0},
	ServerMoved:                         {"Server moved", inConnack | inDisconnect, 0},
	SharedSubscriptionsNotSupported:     {"Shared Subscriptions not supported", inSuback | inDisconnect, 0},
	ConnectionRateExceeded:              {"Connection rate exceeded", inConnack | inDisconnect, 0},
	MaximumConnectTime:                  {"Maximum connect time", inDisconnect, 0},
	SubscriptionIdentifiersNotSupported: {"Subscription Identifiers not supported", inSuback | inDisconnect, 0},
	WildcardSubscriptionsNotSupported:   {"Wildcard Subscriptions not supported", inSuback | inDisconnect, 0},
}
