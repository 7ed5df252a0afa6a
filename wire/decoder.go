package wire

// Decoder decodes the bodies of packets. Set Version, and From when a server reads; then it is ready.
//
// Version 0 means that it is not known yet: only CONNECT can be decoded then, and sets it.
type Decoder struct {
	Version Version
	From    Sender // which side sent the packets
	// Tolerate is told of each fault that leaves no doubt about what a packet
	// means and does no harm, and the packet is decoded all the same. It is for clients,
	// which have to live with the servers there are. If nil, every fault is an error,
	// as the specification demands.
	Tolerate func(*Error)
	// MaxPropertyBytes bounds the property block of a packet, in bytes on the wire. Zero means 16 MiB.
	// MaxElements bounds how many user properties and subscription identifiers it holds, and the
	// filters of a SUBSCRIBE or UNSUBSCRIBE, which take several times as much in memory. Zero means
	// 65,536. Both are looked at before anything is decoded. A packet with more is an [*Error] with
	// the reason [QuotaExceeded].
	MaxPropertyBytes, MaxElements int

	lastTopic string // in most streams it is the next one, too
	topics    topicTable
	arena     propertyArena
}

// Recycle takes back all properties of PUBLISH packets that the decoder has handed out, to use them
// again, and forgets what they hold. They must not have been changed. A caller that waits for the next
// packet calls it before, so that nothing of the last is kept meanwhile.
func (d *Decoder) Recycle() { d.arena.recycle() }
