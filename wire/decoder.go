package wire

// Decoder decodes the bodies of packets. Set Version, and From if the packets come from a client;
// then it is ready.
//
// Version 0 means that the version is not known yet. Only CONNECT can be decoded then, and decoding
// it sets Version.
type Decoder struct {
	Version Version
	From    Sender // which side sent the packets
	// Tolerate is told of each harmless fault that leaves the meaning of a packet clear. The packet
	// is then decoded all the same. It is for clients, which have to work with existing servers. If
	// nil, every fault is an error, as the specification demands.
	Tolerate func(*Error)
	// MaxPropertyBytes bounds the property block of a packet, in bytes on the wire. Zero means 16 MiB.
	// MaxElements bounds the number of user properties and subscription identifiers in it, and the
	// number of filters in a SUBSCRIBE or UNSUBSCRIBE, which take several times as much in memory.
	// Zero means 65,536. Both are checked before anything is decoded. A packet with more is an
	// [*Error] with the reason [QuotaExceeded].
	MaxPropertyBytes, MaxElements int

	lastTopic string // which is often the next one, too
	topics    topicTable
	arena     propertyArena
}

// Recycle takes back all properties of PUBLISH packets that the decoder has handed out, to use their
// memory again. They must not have been changed. Call it before waiting for the next packet, so that
// the content of the last one is not kept meanwhile.
func (d *Decoder) Recycle() { d.arena.recycle() }
