package wire

import "fmt"

// Version is a protocol level.
type Version byte

// The protocol levels. Zero means "not known yet" or "choose for me".
const (
	V31  Version = 3
	V311 Version = 4
	V5   Version = 5
)

// String returns the version as people write it: "3.1", "3.1.1", "5.0", or "auto" for zero.
func (v Version) String() string {
	switch v {
	case 0:
		return "auto"
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return fmt.Sprintf("protocol level %d", byte(v))
}

// QoS is a quality of service.
type QoS byte

// The three qualities of service.
const (
	AtMostOnce QoS = iota
	AtLeastOnce
	ExactlyOnce
)

// Sender says which side sends the packets: some packets, codes and properties are for one side
// only.
type Sender byte

// The two sides of a connection.
const (
	FromServer Sender = iota
	FromClient
)

// String returns "server" or "client".
func (s Sender) String() string {
	if s == FromClient {
		return "client"
	}
	return "server"
}
