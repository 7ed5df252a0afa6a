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
	// passwords. If nil, nothing is logged.
	Logger *slog.Logger

	// TLS is for the networks "tls" and "wss" of [Broker.Listen], which fail if it is
	// nil. The hooks see the client certificates that it asks for.
	TLS *tls.Config
	// Origins are patterns, as in path.Match, of the hosts whose web pages may open
	// WebSockets: "app.example.com", "*.example.com:8443", "https://app.example.com". If
	// empty, only pages of the host that the request names may.
	//
	// A request over a loopback address must name a loopback address, localhost, a name
	// that ends in .localhost, a name in Origins, or, over TLS, a name in a certificate
	// of TLS. Any other name is refused, because a web page can make a browser believe
	// that its own name leads here (DNS rebinding). The same happens behind a proxy on
	// this machine that passes on the name by which it was reached: list that name here.
	// Programs that are not browsers send no Origin and are not affected.
	Origins []string

	// Versions are the protocol versions to accept. If empty, the broker accepts all
	// three.
	Versions []wire.Version
	// MaximumQoS is the highest QoS that clients may publish with. Subscriptions are
	// granted at most that QoS. If nil, it is ExactlyOnce.
	MaximumQoS *wire.QoS
	// NoRetained refuses retained messages.
	NoRetained bool
	// NoWildcards refuses subscriptions with wildcards.
	NoWildcards bool
	// NoShared refuses shared subscriptions.
	NoShared bool
	// NoSubscriptionIDs refuses subscription identifiers.
	NoSubscriptionIDs bool

	// ResponseInformation is sent to 5.0 clients that ask for response information,
	// and is usually the prefix of their response topics. %c stands for the client
	// identifier and %u for the user name. A client whose names would change the
	// levels of the topic gets none. If empty, no client gets any.
	ResponseInformation string

	// StatusInterval is how often the broker publishes figures on topics below
	// $SYS/broker while there is a subscriber. A new subscriber gets them at once.
	// Zero means 10 seconds, a negative duration that there are none.
	StatusInterval time.Duration

	// ConnectTimeout is how long a client may take until it is authenticated, TLS
	// handshake included, and how long each later re-authentication may take. Until the
	// client is authenticated, each byte beyond the first 4 KiB adds a millisecond, so
	// that a slow line gets through; the size of CONNECT is bounded. Zero means 10
	// seconds.
	ConnectTimeout time.Duration
	// WriteTimeout ends a connection when the network has accepted no byte of the data
	// to be written for this long, whatever the data is. TLS and WebSocket make no
	// difference, with one exception: if a listener or HTTP server of the caller does
	// the TLS, the network must accept 16 KiB in this time. Zero means 20 seconds.
	WriteTimeout time.Duration
	// KeepAliveMaximum bounds the keep-alive interval of 5.0 clients, which learn it
	// from CONNACK. It counts whole seconds. Zero means that the client decides.
	KeepAliveMaximum time.Duration
	// SessionExpiryMaximum bounds how long the session of an absent client is
	// kept. Zero means one week.
	SessionExpiryMaximum time.Duration

	// MaximumPacketSize bounds the packets that clients send, in bytes. It also bounds
	// the memory for packets of which only a part has arrived: 64 KiB for each client,
	// and beyond that sixteen times MaximumPacketSize for all clients together. A client
	// that exceeds a fair share of that sum is disconnected. Zero means 16 MiB.
	MaximumPacketSize int
	// ReceiveMaximum bounds the QoS 2 messages that a 5.0 client may have open. Before
	// 5.0 a client cannot be told this limit, so its connection ends only at sixteen
	// times the number. Zero means 1024.
	ReceiveMaximum uint16
	// TopicAliasMaximum is how many topic aliases a 5.0 client may set. Zero means
	// 64, a negative number none.
	TopicAliasMaximum int
	// TopicAliasesSent bounds the topic aliases that the broker sets towards a 5.0
	// client that accepts aliases. Long topics that are used repeatedly get one. Zero
	// means 32, a negative number none.
	TopicAliasesSent int

	// Store keeps the sessions that outlive their connection, the messages that wait
	// for them and the retained messages, so that they survive the end of the process
	// at any instruction; see the package comment. The broker does not close it: the
	// program that opened it does so after [Broker.Shutdown] or [Broker.Close]. Two
	// brokers must not use one Store at the same time. If nil, nothing survives.
	Store store.Store

	// Memory bounds, in bytes, what sessions, their subscriptions, the messages that wait
	// for them and retained messages take: texts, payloads, properties, and an estimate
	// of the data structures around them. A message that waits for many sessions counts
	// once. A request that would exceed the limit is refused with Quota exceeded. A
	// message to be queued is dropped instead, as with QueuedMessages. Existing sessions
	// continue.
	//
	// Each user has a share that leaves something for others: alone it gets at most three
	// fifths. Users without a name are told apart by their address. If every client may
	// connect (see [ErrOpen]), users are not told apart and there are no shares. The
	// program itself has no share either. Zero means 1 GiB.
	Memory int
	// Connections bounds the clients that are connected at one time. When the limit is
	// reached, a new client of a user with few connections replaces one of the user
	// with most; users without a name count by address. As many further connections may
	// be silent, and as many may wait for the answer to their CONNECT, at least 64 of
	// each. When too many are silent, the one that has been silent longest gives way.
	// Zero means 10,000.
	Connections int
	// Sessions bounds the sessions of connected and absent clients. Each user has a
	// share, as with Memory. A new session that would exceed the limit or the share is
	// refused with Quota exceeded; a client that already has a session gets in. Zero
	// means 100,000.
	Sessions int
	// TopicLevels bounds the levels of topics and filters, each of which costs more
	// memory than its text. Zero means 128.
	TopicLevels int
	// SubscriptionsPerClient bounds the filters of one session. Their text is bounded by
	// 4 MiB in any case. A filter with more than two + that are not adjacent, or with a +
	// beyond the 16th level, makes each message more expensive. All sessions together may
	// therefore use at most 4096 different sets of such positions, and each user has a
	// fair share of these. Zero means 10,000.
	SubscriptionsPerClient int
	// Inflight bounds the QoS 1 and 2 messages that are sent to one client and not
	// yet acknowledged. A client may ask for fewer. Zero means 1024.
	Inflight int
	// QueuedMessages bounds the messages that wait for one client or for its
	// acknowledgement. When the limit is reached, a new message is dropped for that
	// client and counted, or goes to another member of the shared subscription. Zero
	// means 65,536.
	QueuedMessages int
	// QueuedBytes bounds the topics, payloads and properties of those messages, in
	// bytes. Zero means 32 MiB.
	QueuedBytes int
	// RetainedMessages bounds the topics with a retained message. A message that
	// would exceed the limit is refused: no subscriber gets it, and the publisher is
	// told Quota exceeded if its version has the code. Zero means 100,000.
	RetainedMessages int
	// RetainedBytes bounds the topics, payloads and properties of retained messages,
	// in bytes, in the same way. Zero means 256 MiB.
	RetainedBytes int

	// Authenticators decide which clients may connect: the first that does not pass
	// decides. If all pass, the client is refused. If empty, every client may
	// connect; see [ErrOpen].
	Authenticators []Authenticator
	// EnhancedAuthenticators are for 5.0 clients that name an authentication method.
	// For those they alone decide. If empty, no method is known.
	EnhancedAuthenticators []EnhancedAuthenticator
	// Authorizers decide what clients may publish and subscribe to: the first that
	// does not pass decides. If all pass, the access is refused. If empty, everything
	// is allowed. They are not asked about messages on topics that start with $,
	// which no client may publish.
	Authorizers []Authorizer
	// Observers are told what happens. All of them are called, in this order.
	Observers []Observer
}

// open reports whether every client may connect.
func (cfg *Config) open() bool {
	return len(cfg.Authenticators) == 0 && len(cfg.EnhancedAuthenticators) == 0
}

// mayWait reports whether hooks that may block are called while a client is
// connected.
func (cfg *Config) mayWait() bool {
	return len(cfg.Observers) > 0 || len(cfg.EnhancedAuthenticators) > 0 ||
		slices.ContainsFunc(cfg.Authorizers, func(a Authorizer) bool {
			_, quick := a.(*ACL)
			return !quick
		})
}
