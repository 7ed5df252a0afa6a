package mqtt

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// Empty stands for an empty string that is sent. It is a value for ClientID, Username
// and Password in Config and in Attempt, where "" means that nothing is set. In a URL a
// colon with nothing behind it gives an empty password: mqtt://user:@host.
const Empty = "\x00empty\x00" // no text of MQTT has U+0000 [MQTT-1.5.4-2]

// Config holds every setting of a client. The zero value works. Connect copies it;
// later changes have no effect.
type Config struct {
	// Version is the version of MQTT to speak. Zero means Auto: 5.0, or 3.1.1 with each
	// server that refuses 5.0. A server that hangs up on 5.0 without a reason is tried
	// with 3.1.1. When that connection ends, 5.0 is tried first again.
	Version Version
	// ClientID names the client and its session. On 3.1 it has 1 to 23 characters. If
	// it is "", the library makes an identifier and keeps it for the life of the
	// Client. It does not ask the server for one, because not every server can assign
	// it. Empty asks the server: on 5.0 the client keeps the identifier that the server
	// assigns; before 5.0 each connection starts clean.
	ClientID string
	// Username and Password go to the server with every connection. If they are "",
	// those of the server URL are used, if it has any. Empty sends an empty one.
	Username string
	Password Secret
	// Authenticator conducts enhanced authentication with every connection (5.0). With
	// it, Auto does not fall back to 3.1.1. If nil, there is no enhanced
	// authentication.
	Authenticator Authenticator
	// Will is the message that the server publishes when the client ends without
	// Disconnect or Close. If nil, there is none.
	Will *Will

	// Bridge says that the client is a bridge between servers. It sets the top bit of
	// the protocol level, before 5.0 only. That is unofficial, but Mosquitto and others
	// know it: the server does not send back what this client publishes, and keeps the
	// retain flag of what it sends. On 5.0 use NoLocal and RetainAsPublished of Filter.
	// Zero means an ordinary client.
	Bridge bool
	// Resume is the opposite of a clean start (CleanStart, CleanSession): it asks for the
	// session that an earlier process left under ClientID. At the end it leaves the
	// session on the server, on 5.0 for SessionExpiry. It needs a ClientID. Shared
	// filters do not stay in the session unless SubscribeOptions.KeepShared is set.
	//
	// Messages that the server has queued come first and go to the Subscriptions whose
	// filters match. A message that matches none waits for HoldUnclaimedFor and
	// meanwhile holds up the acknowledgements behind it.
	//
	// After Disconnect, no message that a consumer has had comes again, unless the
	// connection is cut in the very bytes with which it says goodbye. After a crash such
	// messages may come again, even at QoS 2: nothing records what was taken and not
	// acknowledged. Zero means that the client starts clean and leaves nothing
	// behind.
	Resume bool
	// SessionExpiry is how long the server keeps the session without a connection
	// (5.0), in whole seconds. Zero means five minutes, and a day with a Store; negative
	// means that the session ends with the connection. Before 5.0 the session ends with the connection unless
	// Resume is set, and it never expires by age.
	SessionExpiry time.Duration
	// HoldUnclaimed is how many messages may wait, unacknowledged, for a Subscription
	// or Route that claims them. Further ones are acknowledged and dropped. In a
	// resumed session, QoS 1 and 2 messages wait. If this or HoldUnclaimedFor is set,
	// all messages from CONNACK on wait, at every QoS, in a fresh session too; what a
	// server sends on its own right after CONNACK is then not lost. Beyond 16 MiB, QoS
	// 1 and 2 messages stay with the server and QoS 0 messages are dropped. Zero means
	// ReceiveMaximum, in a resumed session only; negative means that no message waits.
	HoldUnclaimed int
	// HoldUnclaimedFor is how long messages wait for a Subscription, counted from the
	// first CONNACK. Then those that match no filter of this process are acknowledged
	// and dropped, because they hold up the acknowledgements of all others. Stats
	// counts them as Unclaimed; the log and Watch (ErrUnclaimed) report them. Messages
	// that a Handle of this process has left wait without limit. Zero means a minute;
	// negative means that all wait without limit.
	HoldUnclaimedFor time.Duration

	// KeepAlive is the longest silence on the connection, in whole seconds. A server
	// that does not answer is noticed within one and a half times of it. Zero means one
	// minute; negative switches keep-alive off.
	KeepAlive time.Duration
	// PingTimeout is how long the server may take to answer a ping while nothing else
	// comes from it. The time begins when the ping has left the send buffer of the
	// operating system, as far as that can be known. Zero means half of the keep-alive
	// interval in force. A value above the interval counts as the interval.
	PingTimeout time.Duration
	// ConnectTimeout bounds the time between dialling and CONNACK in which nothing
	// moves on the line. It also bounds that time as a whole, plus a millisecond for
	// each byte beyond the first 4 KiB: a slow line gets through, and a server that
	// sends a byte now and then does not hold up the client. Zero means 15 seconds.
	ConnectTimeout time.Duration
	// WriteTimeout bounds the time in which the network takes no byte of what is
	// written. It counts bytes below TLS and WebSocket, whatever they belong to, so
	// that a slow line does not pass for a dead one. On Linux it also counts bytes that
	// the server has taken from the kernel's send buffer. A connection of Config.Dial
	// that is not a socket, such as TLS of its own, is written to in pieces of up to 16
	// KiB. Each piece has to be taken within this time; up to twice the time passes
	// before the connection is given up. Zero means 15 seconds.
	WriteTimeout time.Duration

	// ReceiveMaximum is how many QoS 1 and 2 messages the server may send without an
	// acknowledgement (5.0). On every version it is also how many may wait for the
	// consumers of one Subscription, over reconnects and lost sessions too; see
	// SubscribeOptions.BufferBytes.
	//
	// A server that exceeds it is disconnected with ReceiveMaximumExceeded. On the next
	// connection it may send eight times as many, because it would exceed the limit
	// again, and so on up to 65,535. Where more than ReceiveMaximum wait, each counts
	// 400 bytes more toward BufferBytes. After a Subscription had no space for so many, the
	// client announces less for a while. Zero means 1,024.
	ReceiveMaximum uint16
	// AcknowledgeOutOfOrder acknowledges each message as soon as its consumer is done
	// with it. A stuck consumer then holds up no other until it has ReceiveMaximum
	// messages (before 5.0: as many as the server sends).
	//
	// It breaks [MQTT-4.6.0-2] and [MQTT-4.6.0-3]. Most servers look only at the packet
	// identifier. One that does not may end the connection, or take an acknowledgement
	// for that of another message. After a reconnect the server repeats messages from
	// the middle of its order. Zero means that acknowledgements go out in the order of
	// arrival, and one that waits holds up all behind it.
	AcknowledgeOutOfOrder bool
	// StallAfter is how long a message may be held unacknowledged. After that Watch and
	// the log name the Subscription that holds it (ErrStalled), once each time. Zero
	// means 10 seconds; negative means that nothing is reported.
	StallAfter time.Duration
	// MaximumPacketSize is the largest packet accepted, in bytes. A larger one ends the
	// connection. Less than 16 is refused. Zero means what the protocol allows, 256 MiB. A message with more
	// than 16 MiB or 65,536 of user properties is refused with QuotaExceeded and counts
	// as Stats.Refused; the connection continues.
	MaximumPacketSize uint32
	// TopicAliasMaximum is how many topic aliases the server may use (5.0).
	// Zero means none.
	TopicAliasMaximum uint16

	// MaximumQoS is the highest QoS of the servers, for those that do not say so.
	// Before 5.0 no server can, and some never answer a SUBSCRIBE that asks for more.
	// No filter is subscribed with a higher QoS, including those of Request, Respond
	// and ReceiveOnce. Publishing above it fails with a *LimitError. If nil, what the
	// server says holds on 5.0, and 2 before.
	MaximumQoS *QoS
	// LowerQoS publishes QoS 2 messages at QoS 1 where the server has no QoS 2, which its
	// CONNACK or MaximumQoS says: they may arrive twice then. A server with QoS 0 alone is
	// not served this way, because nothing would tell that a message has arrived. Zero
	// means that publishing above the server's QoS fails with a *LimitError.
	LowerQoS bool
	// NoSubscriptionIDs leaves subscription identifiers out, for servers that do not
	// handle them well (5.0). Messages are then routed by their topics, as before 5.0;
	// SubscribeOptions.Filters says what that means where filters overlap. Zero means
	// that each SUBSCRIBE has an identifier unless the server says that it has none.
	NoSubscriptionIDs bool
	// FiltersPerSubscribe is the largest number of filters in one SUBSCRIBE or
	// UNSUBSCRIBE. A Subscription with more takes several packets. Some cloud brokers
	// accept eight. Zero means as many as the server's maximum packet size allows.
	FiltersPerSubscribe int
	// FilterPrefixes are the beginnings of filters that tell the server how to
	// subscribe and are not part of the topic, such as "$queue/". A + stands for any
	// level. Messages come with a topic without the prefix. Where they have no
	// subscription identifier (before 5.0, for example), they are routed by that topic.
	// If nil, the prefixes are "$queue/", "$exclusive/" and "$oshare/+/"; an empty
	// slice means none. $share is always known, and publishing to "$delayed/…" needs no
	// entry.
	FilterPrefixes []string
	// SendTopicAliases is how many topic aliases the client uses towards the server,
	// within what the server allows (5.0). The client assigns them to topics that come
	// again, where they save most. Zero means none.
	SendTopicAliases uint16

	// Inflight is how many QoS 1 and 2 messages may be sent without an acknowledgement,
	// within what the server allows. All of them are repeated after a reconnect, so a
	// low number suits a line that breaks often. Zero means 1,024, and 20 before 5.0,
	// where a server cannot say how many it holds.
	Inflight int
	// QueueMessages and QueueBytes bound the messages that wait to be sent: for a
	// connection, for an acknowledgement of earlier ones, or for the network. Beyond
	// that, WhenFull decides; an empty queue takes a message of any size. As many bytes
	// again may be in flight. Bytes are those of memory: topic, payload and properties
	// as they are stored. Zero means 10,000 messages and 64 MiB.
	QueueMessages int
	QueueBytes    int
	// QueueAge is how long a message may wait to be sent for the first time. Then it fails
	// with ErrExpired, connected or not. It bounds every message, beside the message's own
	// MessageExpiryInterval, and the server is not told of it. Zero means no limit.
	QueueAge time.Duration
	// QueueAtMostOnce bounds the QoS 0 messages among them, so that they leave room for
	// the others. Beyond that, WhenFull decides as well. Zero means no limits but those of
	// all.
	QueueAtMostOnce QueueLimits
	// PublishRate bounds the messages and bytes that are published in a second. Zero means
	// that there is no limit.
	PublishRate PublishRate
	// WhenFull decides about a message for which the queue has no space. Zero means
	// that publishing waits.
	WhenFull WhenFull

	// Undelivered is called for each message that PublishAsync had accepted and that ended
	// without success: dropped by WhenFull, expired, refused by the server, lost with the
	// session under FailOnSessionLoss, or left when the client ended, except for what stays
	// in the Store. The calls come one after the other, in the order in which the messages
	// ended, on a goroutine of their own.
	//
	// The function may take its time and call any method. Messages wait for it, as many as
	// fit into the queue once more. Beyond that they take up the queue's own space, and no
	// message is dropped for another: PublishAsync then returns ErrQueueFull, or waits under
	// FullBlock. Close and Disconnect wait for it for a second at most. If nil, only the
	// Delivery tells.
	Undelivered func(Undelivered)
	// RetryRefused sends messages of PublishAsync again that the server refuses for now
	// (5.0), those of an earlier process too. It does so with codes that find no fault with
	// the message: QuotaExceeded, PacketIdentifierInUse, ImplementationSpecificError, and
	// those that a server should not use here, ServerUnavailable, ServerBusy and
	// MessageRateTooHigh. With others a refusal is for good.
	//
	// Such a message waits for a second, then twice as long each time, up to a minute (each
	// time somewhat less, at random). It goes as a new message, when nothing else of its
	// topic is under way. Until it is accepted or has failed, what was published later on
	// its topic waits behind it, and only what was under way at the moment of the refusal
	// can pass it. Other topics go on. After a reconnect it goes before the repeats of its
	// topic, whatever its time.
	//
	// It takes up the queue meanwhile, and fails at the end of its MessageExpiryInterval, or
	// QueueAge after its first refusal: without either it is tried forever. Flush waits for
	// it. Disconnect does not wait when nothing else is left. A message that is NotQueued
	// and a Request are not tried again. Zero means that every refusal is for good.
	RetryRefused bool

	// Store keeps the session over the end of the process, however it ends: messages at
	// QoS 1 and 2 that were accepted and are not acknowledged, in their order; their
	// packet identifiers; and which received QoS 2 messages are acknowledged. The next
	// client with this Store and ClientID continues where this one stopped; see
	// [Client.Pending]. PublishAsync returns when the message is in the Store. Publish
	// still waits for the server. QueueMessages and QueueBytes bound what waits in the
	// Store; of that, at most 1,024 messages or 4 MiB are in memory.
	//
	// It needs a ClientID, implies Resume, and serves one client at a time. If the Store
	// is full or fails, publishing fails with ErrStore and the client goes on. No packet
	// is written before the records that it depends on: if these cannot be written, the
	// connection ends and the client tries again. Records that cannot be read are set
	// aside in the Store and logged. The program closes the Store after the client.
	// [github.com/seed65a45251/mqtt/store/bolt] keeps a file;
	// [github.com/seed65a45251/mqtt/store.Encrypt] encrypts it.
	//
	// If nil, what was accepted and not acknowledged ends with the process.
	Store store.Store
	// StoreInterval is how long an accepted message may be in memory alone. Zero means
	// that PublishAsync returns when the message is in the Store, so that nothing that
	// was accepted is lost. With a positive interval PublishAsync returns at once; without
	// a connection, the messages of that time are lost if the process is killed. With a
	// connection, messages are written to the Store at once, because none is sent
	// before. Negative means that messages are written only at the end of the client: if
	// the process is killed, all are lost that the server has not acknowledged.
	StoreInterval time.Duration
	// StoreSubscriptions keeps the filters in the Store, too. The next process subscribes to
	// them with its first connection, if the server has not kept them. Their messages wait
	// for a Subscription with the same filter, as HoldUnclaimed says. Filters that no
	// Subscription has named within HoldUnclaimedFor are unsubscribed. Zero means that a
	// session that the server has lost brings nothing before the program has subscribed.
	StoreSubscriptions bool

	// ResponsePrefix is the topic below which responses to Request arrive, at a level
	// that cannot be guessed (5.0). If it is "", the server's response information is
	// used, or "responses" if there is none.
	ResponsePrefix string
	// RequestResponseInformation asks the server for response information, the topic
	// that it reserves for this client's responses (5.0). Zero means that the server is
	// not asked.
	RequestResponseInformation bool
	// NoProblemInformation asks the server to leave reason strings and user properties
	// out of its acknowledgements (5.0). Zero means that the server may send them.
	NoProblemInformation bool

	// Reconnect says how long to wait between attempts. Its zero fields have their own
	// defaults.
	Reconnect reconnect.Policy
	// MaximumConnectionAge is the longest time that a connection lasts. Then the client
	// replaces it as Client.Reconnect does, so that a balancer of load can send it
	// elsewhere and Attempt is asked for the next token. Each connection ends up to a
	// quarter of the time earlier, at random, so that clients that began together do not
	// come back together. The session stays; where it ends with the connection
	// (SessionExpiry), what the server gets for the client in between is lost. Zero means
	// that connections last as long as they work.
	MaximumConnectionAge time.Duration
	// RetryFirst lets Connect go on trying under its context instead of returning the
	// first failure. Connect returns a permanent refusal all the same. Start always goes
	// on trying.
	RetryFirst bool
	// Permanent decides whether err ends the client, which otherwise tries again. Close
	// does not wait for it. If nil, IsPermanent decides, with these exceptions.
	//
	// A refusal of credentials ends the client only if nothing could change it. A
	// client that was connected before goes on, because servers refuse everybody while
	// they load their users. A client with an Attempt asks it again, until the same
	// server has refused the same client identifier with the same credentials three
	// times in a row. It does so, too, where CONNACK refuses the identifier or the
	// will.
	//
	// A DISCONNECT that refuses the credentials, or says that the session is taken
	// over, ends the client when it is the second in a row without a healthy connection
	// between (Reconnect.HealthyAfter). A take-over that a late CONNECT of this client
	// explains does not count. Two take-overs within ten minutes end the client in any
	// case. Set IsPermanent itself to give up at once.
	Permanent func(err error) bool

	// Servers are the URLs of further servers, which stand in for that of Connect. A
	// round of attempts tries all of them, with all addresses of each, which are looked
	// up again every time. Reconnect says how long to wait between rounds. A permanent
	// refusal by one server ends the client. If nil, there are no further servers.
	Servers []string
	// SharedSessions says that all servers have the same sessions, as the nodes of a
	// cluster do. Zero means that each has its own: a client that comes to another
	// server, or back to an earlier one, subscribes again and publishes again what was
	// not acknowledged, whatever session it finds there.
	SharedSessions bool
	// AlwaysSubscribe repeats SUBSCRIBE on every connection before 5.0, as 5.0 always
	// does. The client then survives a server that returns to an older save of its
	// sessions. Each SUBSCRIBE brings retained messages again. Zero means that before
	// 5.0 filters are subscribed again only where the session is not proven to have
	// them.
	AlwaysSubscribe bool
	// FailOnSessionLoss lets messages that were sent and not acknowledged fail with
	// ErrSessionLost when the server does not continue the session. Zero means that
	// they are published again: nothing is lost, but a message that the server had
	// passed on before arrives twice.
	FailOnSessionLoss bool
	// ServerOrder is the order of a round. Zero means StayWithServer.
	ServerOrder ServerOrder
	// Attempt is called before each attempt to reach a server. It may change what the
	// attempt uses: credentials, certificates, headers, the URL, the will, the client
	// identifier. An error counts as a
	// failed attempt; Permanent decides whether it is the last. ctx ends with
	// ConnectTimeout. Close does not wait for a function that ignores ctx. If nil,
	// nothing is changed.
	Attempt func(ctx context.Context, a *Attempt) error
	// Redirect decides about each server that a server names with UseAnotherServer or
	// ServerMoved (5.0). The client follows at most five redirections without a pause.
	// If nil, it follows to the hosts of the configured servers. To other hosts it
	// follows only if it has no credentials, because it does not send them there.
	Redirect func(Redirection) RedirectAction

	// TLS is used for mqtts and wss. It must not be changed while the client lives;
	// Attempt is for certificates that expire. Application protocols (ALPN) are offered
	// only if NextProtos has them, "mqtt" for example: some servers choose the way of
	// authenticating by them. If nil, the client uses the system's roots, the host of
	// the URL, and TLS 1.2 or later.
	TLS *tls.Config
	// Header goes with the request that opens a WebSocket. If nil, there are no further
	// headers.
	Header http.Header
	// Proxy is the URL of a proxy for all but Unix sockets: http://host:3128 and
	// https://host:3128, which are asked for a tunnel with CONNECT, or
	// socks5://host:1080. The URL may have a user and a password. The proxy looks up
	// the names of servers. The certificate of an https proxy is checked against the
	// roots of TLS. ProxyFromEnvironment means HTTPS_PROXY for servers with TLS and
	// HTTP_PROXY for others, except for NO_PROXY and this machine; net/http reads them
	// once per process. If it is "", there is no proxy.
	Proxy string
	// LocalAddr is the IP address, address:port or :port that connections are made
	// from. With a fixed port, some systems take a minute before they let a connection
	// to the same server be made again. If it is "", the system chooses.
	LocalAddr string
	// Resolver looks up hosts and SRV records. If nil, net.DefaultResolver is used.
	Resolver *net.Resolver
	// Dial makes the network connection in place of the library, for any scheme, to the
	// server or the proxy. The library adds proxy, TLS and WebSocket on top. network is
	// "tcp" or "unix". The host in address is not looked up before. Close does not wait
	// for a function that ignores ctx. If nil, a net.Dialer is used.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// UserProperties go with CONNECT (5.0).
	UserProperties []UserProperty
	// Hooks see messages on their way, for traces and metrics. They are called in this
	// order, and told of the end in the opposite one. If nil, there are none.
	Hooks []Hook
	// Logger gets when connections begin and end, and why attempts fail, at Info and Warn,
	// and at LevelPacket every packet. It never gets payloads or secrets. Its handler must
	// not wait for the client, by Close for example. If nil, nothing is logged.
	Logger *slog.Logger

	adopt    bool              // Resume was set besides Store
	own      bool              // of the client behind a Subscription with a connection of its own
	catchAll bool              // everything waits that nobody has claimed, in a fresh session too
	network  transport.Network // what tests replace
}

// ProxyFromEnvironment is the value of Config.Proxy that asks the environment.
const ProxyFromEnvironment = transport.ProxyFromEnvironment

// Will is the message that the server publishes when a client has gone.
type Will struct {
	Message
	// DelayInterval is how long the server waits for the client to come back
	// before it publishes the will (5.0), in whole seconds.
	DelayInterval time.Duration
}

// Secret is text that no log line and no formatted value shows.
type Secret string

const redacted = "[redacted]"

// String returns a placeholder.
func (Secret) String() string { return redacted }

// GoString returns a placeholder.
func (Secret) GoString() string { return redacted }

// LogValue returns a placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns a placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// newClientID makes an identifier of 22 letters and digits: every server takes
// up to 23 [MQTT-3.1.3-5].
func newClientID() string { return "go" + rand.Text()[:20] }

// connectFields are what CONNECT says that may differ from one attempt to the next.
type connectFields struct {
	clientID      string // "": the server is to assign one
	will          *Will
	keepAlive     time.Duration
	sessionExpiry time.Duration
	username      string
	password      Secret
	properties    []UserProperty
}

// connectPacket builds the CONNECT of one attempt.
func (c *Config) connectPacket(v Version, clean bool, f *connectFields) *wire.Connect {
	p := &wire.Connect{Version: v, Bridge: c.Bridge, ClientID: f.clientID, CleanStart: clean}
	if f.keepAlive > 0 {
		p.KeepAlive = uint16(min(seconds(f.keepAlive), math.MaxUint16))
	}
	username, password := f.username, f.password
	switch username {
	case "":
	case Empty:
		p.Username = new("")
	default:
		p.Username = &username
	}
	switch password {
	case "":
	case Empty:
		p.Password = []byte{}
	default:
		p.Password = []byte(password)
	}
	if w := f.will; w != nil {
		p.Will = &wire.Will{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain}
		if v == V5 {
			w.addProperties(p.Will)
		}
	}
	if v == V5 {
		p.SessionExpiryInterval = seconds(max(f.sessionExpiry, 0))
		p.ReceiveMaximum = c.ReceiveMaximum
		p.MaximumPacketSize = c.MaximumPacketSize
		p.TopicAliasMaximum = c.TopicAliasMaximum
		p.RequestResponseInformation = c.RequestResponseInformation
		if c.NoProblemInformation {
			p.RequestProblemInformation = new(false)
		}
		p.UserProperties = f.properties
	}
	return p
}

func (w *Will) addProperties(p *wire.Will) {
	p.DelayInterval = seconds(w.DelayInterval)
	if q := w.publish().Properties; q != nil {
		p.PayloadFormatUTF8 = q.PayloadFormatUTF8
		p.MessageExpiryInterval = q.MessageExpiryInterval
		p.ContentType = q.ContentType
		p.ResponseTopic = q.ResponseTopic
		p.CorrelationData = q.CorrelationData
		p.UserProperties = q.UserProperties
	}
}

// String shows the configuration without secrets.
func (c Config) String() string {
	return fmt.Sprintf("mqtt.Config{ClientID: %q, Version: %v}", c.ClientID, c.Version)
}

// GoString is String: the URLs of servers and of the proxy may have passwords.
func (c Config) GoString() string { return c.String() }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
