// Package wire encodes and decodes MQTT control packets, for the versions 3.1, 3.1.1 and 5.0.
//
// Packets are plain structs with an Append and a Size method. A [Reader] splits a byte stream into
// packets, and a [Decoder] decodes the bytes of one packet into its struct. The package holds no
// state of a connection. It checks what the bytes, the version and the sender show. It does not
// check rules that depend on earlier packets, such as aliases, limits and pending requests.
//
// # Ownership
//
// Decoding copies no payload. Publish.Payload, Will.Payload, Connect.Password and every
// CorrelationData and AuthenticationData alias the body they were decoded from. A body from
// [Reader.Next] stays valid until the next call of [Reader.Fill]; clone a slice to keep it longer.
// Strings are copies and may be kept. A topic that was seen before is the same string again.
//
// Publish.Properties, and SubscriptionIDs and MessageExpiryInterval in it, belong to the decoder's
// arena. They may be kept until [Decoder.Recycle] is called, which takes all of them back.
//
// Append keeps no reference to the packet and never changes it.
//
// # Errors
//
// Bytes that are refused give an [*Error] with the reason code to answer with. The code is
// [MalformedPacket] if they cannot be parsed. It is [ProtocolError] or a more specific code if their
// content is not allowed. A packet that cannot be encoded gives a [*FieldError].
//
// # Left to the receiver
//
// Where the specification leaves the choice, this package is lenient. Strings may contain control
// characters and noncharacters. A payload marked as UTF-8 is not checked. DUP on a server's
// PUBLISH of QoS 0 is ignored, and so is Session Present in a CONNACK that refuses. Before
// 5.0 a remaining length need not be in its shortest form. On 3.1 unused header bits and
// connect flags are ignored, and a user name that its flag announces may be missing. A 5.0
// connection understands the refusal of a server that knows only
// 3.1.1. An AUTH without a method is a protocol error even when it is empty.
//
// Reader and Decoder are for one goroutine at a time; everything else is safe for concurrent use.
package wire

// MaxRemainingLength is the largest remaining length that a fixed header can carry.
const MaxRemainingLength = 268_435_455

// UserProperty is one name and value pair. A name may occur more than once; order is kept.
type UserProperty struct{ Name, Value string }

// Packet is a control packet. The types of this package implement it with pointer receivers.
type Packet interface {
	// Type says which packet it is.
	Type() PacketType
	// Append appends the packet in version v to b. After an error it returns b at its old length.
	Append(b []byte, v Version) ([]byte, error)
	// Size returns how many bytes Append appends, fixed header included, provided that Append does not
	// refuse the packet.
	Size(v Version) int
}
