package broker

import (
	"crypto/tls"
	"log/slog"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// Config holds the settings of a [Broker]. The zero value is ready to use: it
// lets every client of this machine in and bounds what one client can cost.
type Config struct {
	// Logger gets one line per connection and per refusal, never payloads or
	// passwords. Zero means silence.
	Logger *slog.Logger

	// TLS is for the networks "tls" and "wss" of [Broker.Listen]. Client certificates
	// that it asks for are visible to the hooks.
	TLS *tls.Config
	// Origins are patterns of hosts, as in path.Match, whose web pages may open
	// WebSockets: "app.example.com", "*.example.com:8443", "https://app.example.com".
	// Zero means only the host that the request is for. Over a loopback address that has
	// to be a loopback address, localhost or a name in it, or one that a certificate in
	// TLS is for: any other name, of which a browser was told that it leads here, is
	// refused, also if a proxy on this machine passes on the name by which it was
	// reached. Name those here. Programs that are no browsers send no Origin and are
	// not affected.
	Origins []string

	// Versions are the protocol versions to accept. Zero means all three.
	Versions []wire.Version
	// MaximumQoS is the highest QoS of messages; subscriptions are granted at
	// most that. Zero means ExactlyOnce.
	MaximumQoS *wire.QoS
	// NoRetained refuses retained messages.
	NoRetained bool
	// NoWildcards refuses subscriptions with wildcards.
	NoWildcards bool
	// NoShared refuses shared subscriptions.
	NoShared bool
	// NoSubscriptionIDs refuses subscription identifiers.
	NoSubscriptionIDs bool

	// ResponseInformation is what 5.0 clients are told that ask for response
	// information, such as the place of their response topics; %c stands for the
	// client identifier and %u for the user name. A client whose own would change
	// the levels of the topic is told nothing. Zero means that nobody is.
	ResponseInformation string

	// StatusInterval is how often figures are published on topics below $SYS/broker
	// while somebody has subscribed to them. A new subscriber gets them at once. Zero
	// means 10 seconds, a negative duration that there are none.
	StatusInterval time.Duration

	// ConnectTimeout is how long a client may take until it is authenticated, TLS
	// handshake included, and again whenever it authenticates again. Before it is
	// authenticated each byte beyond the first 4 KiB adds a millisecond, so that a slow
	// line gets through; the size of CONNECT is bounded. Zero means 10 seconds.
	ConnectTimeout time.Duration
	// WriteTimeout is how long the network may take no byte of what is written, whatever
	// the bytes belong to. Then the connection ends. TLS and WebSocket do not matter,
	// with one exception: of TLS that the broker has not made, because its listener or
	// HTTP server came from the caller, 16 KiB have to be taken in this time. Zero means
	// 20 seconds.
	WriteTimeout time.Duration
	// KeepAliveMaximum bounds the keep-alive interval of 5.0 clients, which learn
	// it from CONNACK; whole seconds. Zero means that the client decides.
	KeepAliveMaximum time.Duration
	// SessionExpiryMaximum bounds how long the session of an absent client is
	// kept. Zero means one week.
	SessionExpiryMaximum time.Duration

	// MaximumPacketSize bounds the packets that clients send, in bytes. Of all clients
	// together, sixteen times as much may have arrived of packets that are not whole, and
	// 64 KiB more of each; a client that goes beyond a fair share of that is disconnected.
	// Zero means 16 MiB.
	MaximumPacketSize int
	// ReceiveMaximum bounds the QoS 2 messages that a 5.0 client may have open; before
	// 5.0, where nobody tells the client, sixteen times as many end the connection.
	// Zero means 1024.
	ReceiveMaximum uint16
	// TopicAliasMaximum is how many topic aliases a 5.0 client may set. Zero means
	// 64, a negative number none.
	TopicAliasMaximum int
	// TopicAliasesSent bounds the topic aliases that the broker sets towards a 5.0
	// client that takes them. Topics get one that are long enough and come again and
	// again. Zero means 32, a negative number none.
	TopicAliasesSent int

	// Store keeps sessions that outlive their connection, what waits for them, and
	// retained messages, so that they survive the end of the process at any
	// instruction; see the package comment. The broker does not close it: whoever
	// opened it does so after [Broker.Shutdown] or [Broker.Close]. No two brokers may
	// use it at a time. Zero means that nothing survives.
	Store store.Store

	// Memory bounds in bytes what sessions take, their subscriptions, the messages that
	// wait for them and retained messages: texts, payloads and properties, and what there
	// is around them, by about as much as it takes. A message that waits for many counts
	// once. What goes beyond it is refused with Quota exceeded, or, of messages that wait,
	// dropped as with QueuedMessages; sessions that are there go on. Each user has a share
	// of it that leaves something for others: alone at most three fifths. Users without
	// a name are told apart by their address. If everybody may connect, see [ErrOpen],
	// they are not, and the program is not bound by a share either. Zero means 1 GiB.
	Memory int
	// Connections bounds the clients that are connected at one time. When there are as
	// many, a client of a user that has few takes the place of one of the user that has
	// most, or of the address where users have no names. As many connections may be
	// silent, of which the longest silent ones give way to others, and as many may
	// wait for the answer to their CONNECT; at least 64 of each. Zero means 10,000.
	Connections int
	// Sessions bounds the sessions of present and absent clients, of which each user has
	// a share as of Memory. Who would go beyond it is refused with Quota exceeded; the
	// client of a session that is there gets in. Zero means 100,000.
	Sessions int
	// TopicLevels bounds the levels of topics and filters, each of which costs more
	// memory than its text. Zero means 128.
	TopicLevels int
	// SubscriptionsPerClient bounds the filters of one session, which in any case
	// have at most 4 MiB of text. Filters with a + in unusual places, more than two or
	// behind the 16th level, are bounded besides for all sessions together, because of
	// what they cost each message: at 4096 different sets of such places, of which a user
	// has a fair share. Zero means 10,000.
	SubscriptionsPerClient int
	// Inflight bounds the QoS 1 and 2 messages that are sent to one client and not
	// acknowledged; a client may ask for fewer. Zero means 1024.
	Inflight int
	// QueuedMessages bounds the messages that wait for one client or for its
	// acknowledgement. What comes when the limit is reached is dropped for that
	// client and counted, or goes to another member of the shared subscription. Zero
	// means 65,536.
	QueuedMessages int
	// QueuedBytes bounds the topics, payloads and properties of those messages. Zero
	// means 32 MiB.
	QueuedBytes int
	// RetainedMessages bounds the topics with a retained message. What would go
	// beyond it is refused: sent to nobody, and answered with Quota exceeded where
	// the version can say so. Zero means 100,000.
	RetainedMessages int
	// RetainedBytes bounds the topics, payloads and properties of retained messages
	// in the same way. Zero means 256 MiB.
	RetainedBytes int

	// Authenticators decide who may connect: the first that does not pass. If all
	// pass the client is refused. Zero means that everybody may, see [ErrOpen].
	Authenticators []Authenticator
	// EnhancedAuthenticators are for 5.0 clients that name an authentication
	// method, and decide alone about those. Zero means that there is no method.
	EnhancedAuthenticators []EnhancedAuthenticator
	// Authorizers decide what clients may publish and subscribe to: the first that
	// does not pass. If all pass it is refused. Zero means that everything is
	// allowed. They are not asked about topics that start with $, on which no client
	// may publish.
	Authorizers []Authorizer
	// Observers are told what happens, all of them, in this order.
	Observers []Observer
}

// open reports whether everybody may connect.
func (cfg *Config) open() bool {
	return len(cfg.Authenticators) == 0 && len(cfg.EnhancedAuthenticators) == 0
}

// mayWait reports whether a hook may take its time while a client is connected.
func (cfg *Config) mayWait() bool {
	return len(cfg.Observers) > 0 || len(cfg.EnhancedAuthenticators) > 0 ||
		slices.ContainsFunc(cfg.Authorizers, func(a Authorizer) bool {
			_, quick := a.(*ACL)
			return !quick
		})
}
