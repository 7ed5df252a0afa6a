package wire

// Connect opens a connection. It is the first packet of a client.
type Connect struct {
	Version    Version // set by the decoder; Append's v decides when encoding
	Bridge     bool    // protocol level with the top bit set: the unofficial mark of a bridge, before 5.0 only
	CleanStart bool    // before 5.0: clean session
	KeepAlive  uint16  // seconds; 0: off
	ClientID   string
	Username   *string // nil: absent
	Password   []byte  // nil: absent; before 5.0 it needs a user name
	Will       *Will   // nil: none

	// The rest is for 5.0.
	SessionExpiryInterval      uint32 // seconds
	ReceiveMaximum             uint16 // 0: absent, which means 65535
	MaximumPacketSize          uint32 // 0: absent, which means no limit
	TopicAliasMaximum          uint16
	RequestResponseInformation bool
	RequestProblemInformation  *bool  // nil: absent, which means true
	AuthenticationMethod       string // empty: absent
	AuthenticationData         []byte // nil: absent
	UserProperties             []UserProperty
}

// The bits of the connect flags.
const (
	flagReserved     = 1 << 0
	flagCleanStart   = 1 << 1
	flagWill         = 1 << 2
	flagWillQoSShift = 3
	flagWillQoS      = 3 << flagWillQoSShift
	flagWillRetain   = 1 << 5
	flagPassword     = 1 << 6
	flagUsername     = 1 << 7

	bridgeBit = 0x80 // of the protocol level
)

// Type returns TypeConnect.
func (p *Connect) Type() PacketType { return TypeConnect }

// Size returns the size of the encoded packet.
func (p *Connect) Size(v Version) int { return sizeOf(p, v) }

// Append appends the packet to b. Before 5.0 it refuses properties, a password without a user name, and a
// client identifier that is empty where it must not be.
func (p *Connect) Append(b []byte, v Version) ([]byte, error) { return appendPacket(b, v, 0, p) }

func (p *Connect) encode(e *encoder) {
	if !e.writing {
		p.check(e)
	}
	name, level := "MQTT", byte(e.version) // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
	if e.version == V31 {
		name = "MQIsdp"
	}
	if p.Bridge {
		level |= bridgeBit
	}
	e.string("protocol name", name)
	e.byte(level)
	e.byte(p.flags())
	e.uint16(p.KeepAlive)
	if e.version == V5 {
		mark := e.open()
		p.encodeProperties(e)
		e.close(mark)
	}
	// [MQTT-3.1.3-1]: the order of the payload.
	e.string("ClientID", p.ClientID)
	if p.Will != nil {
		p.Will.encode(e)
	}
	if p.Username != nil {
		e.string("Username", *p.Username)
	}
	if p.Password != nil {
		e.binary("Password", p.Password)
	}
}

// flags returns the connect flags. The reserved bit stays 0. [MQTT-3.1.2-3]
func (p *Connect) flags() byte {
	var flags byte
	if p.CleanStart {
		flags |= flagCleanStart
	}
	if p.Will != nil {
		flags |= flagWill | byte(p.Will.QoS)<<flagWillQoSShift
		if p.Will.Retain {
			flags |= flagWillRetain
		}
	}
	if p.Password != nil {
		flags |= flagPassword
	}
	if p.Username != nil {
		flags |= flagUsername
	}
	return flags
}

// check looks for fields that the version cannot express, or not in this combination.
func (p *Connect) check(e *encoder) {
	switch v := e.version; {
	case v != V31 && v != V311 && v != V5:
		e.fail("Version", "is none of 3.1, 3.1.1 and 5.0")
	case v == V5 && p.Bridge:
		e.fail("Bridge", "does not exist in version 5.0")
	case v == V31 && p.ClientID == "":
		e.fail("ClientID", "is empty")
	case v == V311 && p.ClientID == "" && !p.CleanStart: // 3.1.1: [MQTT-3.1.3-7]
		e.fail("ClientID", "is empty without CleanStart")
	case v != V5 && p.Password != nil && p.Username == nil: // 3.1.1: [MQTT-3.1.2-22]
		e.fail("Password", "needs a Username before version 5.0")
	case p.AuthenticationData != nil && p.AuthenticationMethod == "":
		e.fail("AuthenticationData", "needs an AuthenticationMethod")
	}
	if e.version != V5 {
		properties := encoder{packet: TypeConnect, version: e.version}
		p.encodeProperties(&properties)
		e.only5(properties.size > 0, "a property")
	}
}

func (p *Connect) encodeProperties(e *encoder) {
	if p.SessionExpiryInterval != 0 {
		e.uint32Property(propSessionExpiryInterval, &p.SessionExpiryInterval)
	}
	e.uint16Property(propReceiveMaximum, p.ReceiveMaximum)
	if p.MaximumPacketSize != 0 {
		e.uint32Property(propMaximumPacketSize, &p.MaximumPacketSize)
	}
	e.uint16Property(propTopicAliasMaximum, p.TopicAliasMaximum)
	if p.RequestResponseInformation {
		e.byteProperty(propRequestResponseInformation, 1)
	}
	e.flagProperty(propRequestProblemInformation, p.RequestProblemInformation)
	e.userProperties(p.UserProperties)
	e.stringProperty(propAuthenticationMethod, p.AuthenticationMethod)
	e.binaryProperty(propAuthenticationData, p.AuthenticationData)
}
