package wire

import "math"

// propertyID is the identifier of a property.
type propertyID byte

// The 27 properties of 5.0.
const (
	propPayloadFormatIndicator        propertyID = 0x01
	propMessageExpiryInterval         propertyID = 0x02
	propContentType                   propertyID = 0x03
	propResponseTopic                 propertyID = 0x08
	propCorrelationData               propertyID = 0x09
	propSubscriptionID                propertyID = 0x0B
	propSessionExpiryInterval         propertyID = 0x11
	propAssignedClientID              propertyID = 0x12
	propServerKeepAlive               propertyID = 0x13
	propAuthenticationMethod          propertyID = 0x15
	propAuthenticationData            propertyID = 0x16
	propRequestProblemInformation     propertyID = 0x17
	propWillDelayInterval             propertyID = 0x18
	propRequestResponseInformation    propertyID = 0x19
	propResponseInformation           propertyID = 0x1A
	propServerReference               propertyID = 0x1C
	propReasonString                  propertyID = 0x1F
	propReceiveMaximum                propertyID = 0x21
	propTopicAliasMaximum             propertyID = 0x22
	propTopicAlias                    propertyID = 0x23
	propMaximumQoS                    propertyID = 0x24
	propRetainAvailable               propertyID = 0x25
	propUserProperty                  propertyID = 0x26
	propMaximumPacketSize             propertyID = 0x27
	propWildcardSubscriptionAvailable propertyID = 0x28
	propSubscriptionIDAvailable       propertyID = 0x29
	propSharedSubscriptionAvailable   propertyID = 0x2A
)

// propertyKind is how a property's value is written.
type propertyKind byte

const (
	kindByte propertyKind = iota + 1
	kindUint16
	kindUint32
	kindVarint
	kindString
	kindTopic // a string that is a topic name
	kindBinary
	kindPair
)

const (
	everyAnswer = inConnack | inPublishAcks | inRequestAck | inDisconnect | inAuth
	everyBlock  = inConnect | inWill | inPublish | inSubscribe | inUnsubscribe | everyAnswer
)

// property is what the specification says about one property.
type property struct {
	name     string
	kind     propertyKind
	blocks   packetSet // where it may stand
	repeats  packetSet // where it may stand more than once
	min, max uint32    // of a number
}

// propertyTable is indexed by identifier; an entry without a kind is no property.
var propertyTable = [...]property{
	propPayloadFormatIndicator:        {"Payload Format Indicator", kindByte, inPublish | inWill, 0, 0, 1},
	propMessageExpiryInterval:         {"Message Expiry Interval", kindUint32, inPublish | inWill, 0, 0, math.MaxUint32},
	propContentType:                   {"Content Type", kindString, inPublish | inWill, 0, 0, 0},
	propResponseTopic:                 {"Response Topic", kindTopic, inPublish | inWill, 0, 0, 0},
	propCorrelationData:               {"Correlation Data", kindBinary, inPublish | inWill, 0, 0, 0},
	propSubscriptionID:                {"Subscription Identifier", kindVarint, inPublish | inSubscribe, inPublish, 1, MaxRemainingLength},
	propSessionExpiryInterval:         {"Session Expiry Interval", kindUint32, inConnect | inConnack | inDisconnect, 0, 0, math.MaxUint32},
	propAssignedClientID:              {"Assigned Client Identifier", kindString, inConnack, 0, 0, 0},
	propServerKeepAlive:               {"Server Keep Alive", kindUint16, inConnack, 0, 0, 65535},
	propAuthenticationMethod:          {"Authentication Method", kindString, inConnect | inConnack | inAuth, 0, 0, 0},
	propAuthenticationData:            {"Authentication Data", kindBinary, inConnect | inConnack | inAuth, 0, 0, 0},
	propRequestProblemInformation:     {"Request Problem Information", kindByte, inConnect, 0, 0, 1},
	propWillDelayInterval:             {"Will Delay Interval", kindUint32, inWill, 0, 0, math.MaxUint32},
	propRequestResponseInformation:    {"Request Response Information", kindByte, inConnect, 0, 0, 1},
	propResponseInformation:           {"Response Information", kindString, inConnack, 0, 0, 0},
	propServerReference:               {"Server Reference", kindString, inConnack | inDisconnect, 0, 0, 0},
	propReasonString:                  {"Reason String", kindString, everyAnswer, 0, 0, 0},
	propReceiveMaximum:                {"Receive Maximum", kindUint16, inConnect | inConnack, 0, 1, 65535},
	propTopicAliasMaximum:             {"Topic Alias Maximum", kindUint16, inConnect | inConnack, 0, 0, 65535},
	propTopicAlias:                    {"Topic Alias", kindUint16, inPublish, 0, 1, 65535},
	propMaximumQoS:                    {"Maximum QoS", kindByte, inConnack, 0, 0, 1},
	propRetainAvailable:               {"Retain Available", kindByte, inConnack, 0, 0, 1},
	propUserProperty:                  {"User Property", kindPair, everyBlock, everyBlock, 0, 0},
	propMaximumPacketSize:             {"Maximum Packet Size", kindUint32, inConnect | inConnack, 0, 1, math.MaxUint32},
	propWildcardSubscriptionAvailable: {"Wildcard Subscription Available", kindByte, inConnack, 0, 0, 1},
	propSubscriptionIDAvailable:       {"Subscription Identifier Available", kindByte, inConnack, 0, 0, 1},
	propSharedSubscriptionAvailable:   {"Shared Subscription Available", kindByte, inConnack, 0, 0, 1},
}
