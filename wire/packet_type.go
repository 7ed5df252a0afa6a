package wire

import "fmt"

// PacketType is the type of a control packet: the upper half of its first byte.
type PacketType byte

// The packet types. 0 is reserved; AUTH exists since 5.0.
const (
	TypeConnect PacketType = iota + 1
	TypeConnack
	TypePublish
	TypePuback
	TypePubrec
	TypePubrel
	TypePubcomp
	TypeSubscribe
	TypeSuback
	TypeUnsubscribe
	TypeUnsuback
	TypePingreq
	TypePingresp
	TypeDisconnect
	TypeAuth
)

var packetTypeNames = [...]string{
	TypeConnect:     "CONNECT",
	TypeConnack:     "CONNACK",
	TypePublish:     "PUBLISH",
	TypePuback:      "PUBACK",
	TypePubrec:      "PUBREC",
	TypePubrel:      "PUBREL",
	TypePubcomp:     "PUBCOMP",
	TypeSubscribe:   "SUBSCRIBE",
	TypeSuback:      "SUBACK",
	TypeUnsubscribe: "UNSUBSCRIBE",
	TypeUnsuback:    "UNSUBACK",
	TypePingreq:     "PINGREQ",
	TypePingresp:    "PINGRESP",
	TypeDisconnect:  "DISCONNECT",
	TypeAuth:        "AUTH",
}

// String returns the specification's name, such as "CONNECT".
func (t PacketType) String() string {
	if t >= TypeConnect && t <= TypeAuth {
		return packetTypeNames[t]
	}
	return fmt.Sprintf("packet type %d", byte(t))
}

// packetSet is a set of packet types. Bit 0 stands for the will in a CONNECT, which has a property
// block of its own.
type packetSet uint16

const (
	inWill        packetSet = 1 << willBlock
	inConnect     packetSet = 1 << TypeConnect
	inConnack     packetSet = 1 << TypeConnack
	inPublish     packetSet = 1 << TypePublish
	inPuback      packetSet = 1 << TypePuback
	inPubrec      packetSet = 1 << TypePubrec
	inPubrel      packetSet = 1 << TypePubrel
	inPubcomp     packetSet = 1 << TypePubcomp
	inSubscribe   packetSet = 1 << TypeSubscribe
	inSuback      packetSet = 1 << TypeSuback
	inUnsubscribe packetSet = 1 << TypeUnsubscribe
	inUnsuback    packetSet = 1 << TypeUnsuback
	inDisconnect  packetSet = 1 << TypeDisconnect
	inAuth        packetSet = 1 << TypeAuth

	inFirstAck    = inPuback | inPubrec
	inRelease     = inPubrel | inPubcomp
	inPublishAcks = inFirstAck | inRelease
	inRequestAck  = inSuback | inUnsuback

	// clientOnly and serverOnly flow in one direction; the rest in both.
	clientOnly = inConnect | inSubscribe | inUnsubscribe | 1<<TypePingreq
	serverOnly = inConnack | inSuback | inUnsuback | 1<<TypePingresp
)

// willBlock stands for the will's properties in a packetSet. As a packet type it is reserved.
const willBlock PacketType = 0

func (s packetSet) has(t PacketType) bool { return s>>t&1 != 0 }
