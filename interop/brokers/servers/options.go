package servers

import "time"

// patience bounds every wait for a server.
const patience = 60 * time.Second

// Options says what to run. The zero value is a server with the defaults of its makers,
// that keeps its data on the disk if it can, and that every client may connect to.
type Options struct {
	// Users are the names and passwords that may connect. If nil, every client may, with
	// or without a name.
	Users map[string]string

	// NoPublish is a topic that nobody may publish to. Empty means none.
	NoPublish string

	// NoSubscribe is a filter that nobody may subscribe to. Empty means none.
	NoSubscribe string

	// TLS adds a listener with TLS. NATS has one listener for MQTT, so that it then has
	// no other.
	TLS bool

	// WebSocket adds a listener for WebSocket.
	WebSocket bool

	// MaximumPacketSize is the largest packet that the server takes, in bytes; for
	// RabbitMQ and NATS it is that of a message. Aedes has no such limit. Zero means the
	// server's default.
	MaximumPacketSize int

	// ReceiveMaximum is how many QoS 1 and 2 messages may be unacknowledged: those to the
	// client for Mosquitto, RabbitMQ and NATS, those from it for mochi and ours, and QoS 2
	// from the client for aedes. Zero means the server's default.
	ReceiveMaximum int

	// Connections is how many clients may be connected. Aedes has no such limit. Zero
	// means the server's default.
	Connections int

	// KeepAlive is the longest keep-alive that the server permits, in seconds. Only
	// Mosquitto, aedes and ours can have such a limit. Zero means the server's default.
	KeepAlive int
}

// admits says whether a client with this name and password may connect.
func (o Options) admits(user string, password []byte) bool {
	if o.Users == nil {
		return true
	}
	want, known := o.Users[user]
	return known && want == string(password)
}
