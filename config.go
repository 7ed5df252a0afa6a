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
	"github.com/seed65a45251/mqtt/wire"
)

// Empty is what a ClientID, a Username or a Password is set to that is sent and has no
// character, in Config and in Attempt. In a URL an empty password follows a colon:
// mqtt://user:@host.
const Empty = "\x00empty\x00" // no text of MQTT has U+0000 [MQTT-1.5.4-2]

// Config holds every setting of a client. The zero value works. Connect copies
// it; changes afterwards have no effect.
type Config struct {
	// Version is the version of MQTT to speak. Zero means Auto: 5.0, or 3.1.1
	// with each server that refuses 5.0. One that hangs up on 5.0 without a word is
	// spoken to with 3.1.1 until the connection ends, then 5.0 comes first again.
	Version Version
	// ClientID names the client and its session. On 3.1 it has 1 to 23 characters.
	// Zero means that the library makes one and keeps it for the life of the Client;
	// it does not ask the server for one, which not every server can. Empty asks it: an
	// identifier that it assigns (5.0) is kept; before 5.0 each connection starts clean.
	ClientID string
	// Username and Password go to the server with every connection. Zero means
	// none, or those of the server URL. Empty sends one without a character.
	Username string
	Password Secret
	// Authenticator conducts enhanced authentication with every connection (5.0;
	// with Auto there is no fallback). Zero means none.
	Authenticator Authenticator
	// Will is published by the server when the client goes without Disconnect
	// or Close. Zero means none.
	Will *Will

	// Bridge says that the client is a bridge between servers: it sets the top bit of
	// the protocol level (before 5.0, unofficial; Mosquitto and others know it). The
	// server then does not send back what comes from this client, and keeps the
	// retain flag of what it sends. In 5.0 Filter has NoLocal and RetainAsPublished
	// for that. Zero means an ordinary client.
	Bridge bool
	// Resume asks for the session that an earlier process left under ClientID,
	// and leaves the session on the server at the end, on 5.0 for SessionExpiry.
	// It needs a ClientID. Shared filters do not stay in it unless
	// SubscribeOptions.KeepShared is set. What the server has queued comes first, to
	// the Subscriptions whose filters match: what matches none waits for
	// HoldUnclaimedFor and holds up the acknowledgements behind it meanwhile. After
	// Disconnect nothing that a consumer has had comes again. After a crash that is not
	// sure, at QoS 2 neither: what was taken and not acknowledged is known to nobody.
	// Zero means that the client starts clean and leaves nothing behind.
	Resume bool
	// SessionExpiry is how long the server keeps the session without a
	// connection (5.0), in whole seconds. Zero means five minutes; negative means
	// that it ends with the connection. Before 5.0 the session ends with the
	// connection unless Resume is set, and never by age.
	SessionExpiry time.Duration
	// HoldUnclaimed bounds how many messages may wait for a Subscription or Route that
	// claims them, unacknowledged, before further ones are acknowledged and dropped: those
	// that a resumed session has, at QoS 1 and 2. If this or HoldUnclaimedFor is set, also
	// without Resume all that comes from CONNACK on, at every QoS: what a server sends on
	// its own, right behind CONNACK, is not lost then. What comes beyond 16 MiB stays with
	// the server, at QoS 0 it is dropped. Zero means ReceiveMaximum, in a resumed session
	// only; negative means none wait.
	HoldUnclaimed int
	// HoldUnclaimedFor is how long messages wait for a Subscription, from the first
	// CONNACK on. Then those that match no filter of this process are acknowledged and
	// dropped, because they hold up the acknowledgements of all others: Stats counts them
	// as Unclaimed, the log and Watch (ErrUnclaimed) tell. What a Handle of this process
	// has left waits without limit. Zero means a minute; negative means that they wait
	// without limit too.
	HoldUnclaimedFor time.Duration

	// KeepAlive is the longest silence on the connection, in whole seconds;
	// a server that does not answer is noticed within one and a half of it.
	// Zero means one minute; negative switches keep-alive off.
	KeepAlive time.Duration
	// PingTimeout is how long the server may take to answer a ping, once that has left
	// what the operating system has still to send, as far as that can be known, and
	// while nothing else comes from the server. Zero means half of the keep-alive interval in force; more than the interval counts as
	// the interval.
	PingTimeout time.Duration
	// ConnectTimeout bounds the time between dialling and CONNACK in which nothing
	// moves on the line. All of it may take that long, and beyond the first 4 KiB a
	// millisecond more for each byte: a slow line gets through, a server that says a
	// byte now and then does not hold the client up. Zero means 15 seconds.
	ConnectTimeout time.Duration
	// WriteTimeout bounds the time in which the network takes no byte of what is
	// written, whatever the bytes belong to, below TLS and WebSocket: a slow line is
	// not a dead one. On Linux bytes also count that the server has taken out of what
	// the kernel holds. A connection of Config.Dial that is no socket, such as TLS of
	// its own, is written to in pieces of up to 16 KiB, of which one has to be taken in
	// this time, or up to twice of it passes before it is given up. Zero means 15
	// seconds.
	WriteTimeout time.Duration

	// ReceiveMaximum is how many QoS 1 and 2 messages the server may send
	// without an acknowledgement (5.0), and how many may wait for the consumers of one
	// Subscription, on every version, over reconnects and lost sessions too; see
	// SubscribeOptions.BufferBytes. A server that exceeds it is disconnected with
	// ReceiveMaximumExceeded and may exceed it eightfold on the next connection,
	// because it would do it again. Less is announced for a while after a Subscription
	// had no room for so much. Zero means 1,024.
	ReceiveMaximum uint16
	// AcknowledgeOutOfOrder acknowledges each message as soon as its consumer is done
	// with it. A stuck consumer then holds up no other until it has ReceiveMaximum
	// messages (before 5.0: as many as the server sends). It breaks [MQTT-4.6.0-2] and
	// [MQTT-4.6.0-3]. Most servers look only at the packet identifier; one that does
	// not may end the connection or take an acknowledgement for that of another
	// message. And after a reconnect the server repeats messages from the middle of
	// its order. Zero means that acknowledgements go out in the order of arrival, one
	// that waits holds up all behind it.
	AcknowledgeOutOfOrder bool
	// StallAfter is how long a message may be held unacknowledged before Watch and
	// the log tell of the Subscription that has it (ErrStalled), once each time. Zero
	// means 10 seconds; negative means that nobody is told.
	StallAfter time.Duration
	// MaximumPacketSize is the largest packet accepted, in bytes. A larger one
	// ends the connection. Zero means what the protocol allows, 256 MiB. A message with
	// more than 16 MiB or 65,536 of user properties is refused with QuotaExceeded and
	// counts as Stats.Refused; the connection goes on.
	MaximumPacketSize uint32
	// TopicAliasMaximum is how many topic aliases the server may use (5.0).
	// Zero means none.
	TopicAliasMaximum uint16

	// MaximumQoS is the highest QoS that the servers have, for those that cannot say so:
	// before 5.0 nobody can, and some never answer a SUBSCRIBE that asks for more. Filters
	// are subscribed with no more, also those of Request, Respond and ReceiveOnce, and
	// publishing above it fails with a *LimitError. Nil means what the server says in 5.0,
	// and 2 before.
	MaximumQoS *QoS
	// NoSubscriptionIDs leaves subscription identifiers out, for servers that do not
	// get on with them (5.0). Messages are routed by their topics then, as before 5.0; see
	// SubscribeOptions.Filters for what that means where filters overlap. Zero means that
	// each SUBSCRIBE has one where the server does not say that it has none.
	NoSubscriptionIDs bool
	// FiltersPerSubscribe bounds the filters in one SUBSCRIBE or UNSUBSCRIBE; a
	// Subscription with more takes several. Some cloud brokers accept eight. Zero
	// means as many as the server's maximum packet size allows.
	FiltersPerSubscribe int
	// FilterPrefixes are the beginnings of filters that the server takes for a manner
	// of subscribing and not for a part of the topic, such as "$queue/"; + stands for
	// any level. Messages come with the topic without it, and are routed by that where
	// they bring no subscription identifier (before 5.0, for example). Zero means
	// "$queue/", "$exclusive/" and "$oshare/+/", an empty
	// slice none; $share needs no mention. To publish to "$delayed/…" needs none either.
	FilterPrefixes []string
	// SendTopicAliases is how many topic aliases the client uses towards the server,
	// within what that allows (5.0). It chooses them by itself: for topics that come
	// again, where they save most. Zero means none.
	SendTopicAliases uint16

	// Inflight is how many QoS 1 and 2 messages may be sent without an
	// acknowledgement, within what the server allows. All of them are repeated
	// after a reconnect, so on a line that breaks often few are better. Zero means
	// 1,024, and 20 before 5.0, where a server cannot say how many it holds.
	Inflight int
	// QueueMessages and QueueBytes bound the messages that wait to be sent: for
	// a connection, for an acknowledgement of earlier ones, for room on the
	// network. Beyond, WhenFull decides; an empty queue takes a message of any
	// size. As many bytes again may be in flight. Bytes are those of memory: topic,
	// payload and properties as they lie there. Zero means 10,000 messages and 64 MiB.
	QueueMessages int
	QueueBytes    int
	// WhenFull says what becomes of a message for which the queue has no room. Zero
	// means that publishing waits.
	WhenFull WhenFull

	// ResponsePrefix is the topic below which responses to Request arrive, at a
	// level that nobody can guess (5.0). Zero means the server's response
	// information, or "responses" where there is none.
	ResponsePrefix string
	// RequestResponseInformation asks the server for response information, the
	// topic that it reserves for this client's responses (5.0). Zero means that it
	// is not asked.
	RequestResponseInformation bool
	// NoProblemInformation asks the server to leave reason strings and user
	// properties out of its acknowledgements (5.0). Zero means that it may say what
	// is wrong.
	NoProblemInformation bool

	// Reconnect says how long to wait between attempts. Zero values have their own defaults.
	Reconnect reconnect.Policy
	// RetryFirst lets Connect go on trying under its context instead of
	// returning the first failure. A permanent refusal is returned all the same.
	RetryFirst bool
	// Permanent decides whether the client gives up because of err instead of
	// trying again. Close does not wait for it. Zero means: what IsPermanent says,
	// but a refusal of credentials only if nothing could change it. A client that was
	// connected before goes on, because servers refuse everybody while they load their
	// users. One with an Attempt asks it again, until the same server has refused the
	// same credentials three times in a row. A DISCONNECT that refuses them, or says that
	// the session is taken over, is the end when it is the second in a row, without a
	// healthy connection between (Reconnect.HealthyAfter); of take-overs, those do not count
	// that a late CONNECT of our own explains, and two within ten minutes are the end in
	// any case. Set IsPermanent itself to give up at once.
	Permanent func(err error) bool

	// Servers are the URLs of further servers, which stand in for that of Connect.
	// A round of attempts walks over all of them and all addresses of each, which
	// are looked up again every time; Reconnect says how long to wait between
	// rounds. A permanent refusal by one ends the client. Zero means none.
	Servers []string
	// SharedSessions says that all servers have the same sessions, as the nodes of a
	// cluster do. Zero means that each has its own: a client that comes to another
	// server, or back to one that it has left, subscribes again and publishes again
	// what was not acknowledged, whatever session it finds there.
	SharedSessions bool
	// AlwaysSubscribe repeats SUBSCRIBE on every connection before 5.0, as in 5.0,
	// and so survives a server that comes back from an older save of its sessions. It
	// brings retained messages again each time. Zero means that before 5.0 filters are
	// subscribed again only where the session is not proven to have them.
	AlwaysSubscribe bool
	// FailOnSessionLoss lets messages that were sent and not acknowledged fail with
	// ErrSessionLost when the server does not continue the session. Zero means that
	// they are published again: nothing is lost, but a message that the server had
	// passed on before arrives twice.
	FailOnSessionLoss bool
	// ServerOrder is the order of a round. Zero means StayWithServer.
	ServerOrder ServerOrder
	// Attempt is called whenever a server is about to be tried and may change
	// what is used for it: credentials, certificates, headers, the URL. An error
	// counts as a failed attempt; Permanent decides whether it is the last. ctx
	// ends with ConnectTimeout, and Close does not wait for a function that
	// ignores it. Zero means that nothing is changed.
	Attempt func(ctx context.Context, a *Attempt) error
	// Redirect decides about each server that a server names with
	// UseAnotherServer or ServerMoved (5.0). At most five redirections are
	// followed without a pause. Zero means: follow to the hosts of the configured
	// servers, and elsewhere only if there are no credentials to be missed.
	Redirect func(Redirection) RedirectAction

	// TLS is used for mqtts and wss, and must not be changed while the client
	// lives; see Attempt for certificates that expire. Application protocols
	// (ALPN) are offered only if NextProtos has them, "mqtt" for example: some
	// servers take that for a choice of how to authenticate. Zero means the
	// system's roots, the host of the URL, and TLS 1.2 or later.
	TLS *tls.Config
	// Header goes with the request that opens a WebSocket. Zero means none.
	Header http.Header
	// Proxy is the URL of a proxy for all but Unix sockets: http://host:3128 and
	// https://host:3128, asked for a tunnel with CONNECT, or socks5://host:1080.
	// It may have a user and a password, looks up the names of servers, and if it
	// speaks TLS is checked against the roots of TLS. ProxyFromEnvironment means
	// what HTTPS_PROXY says for servers with TLS and HTTP_PROXY for others, less
	// NO_PROXY and this machine, as read once per process by net/http. Zero means no proxy.
	Proxy string
	// LocalAddr is the IP address, address:port or :port that connections are
	// made from. With a fixed port, some systems take a minute before they let a
	// connection to the same server be made again. Zero means any.
	LocalAddr string
	// Resolver looks up hosts and SRV records. Zero means net.DefaultResolver.
	Resolver *net.Resolver
	// Dial makes the network connection in place of the library, for any scheme,
	// to the server or the proxy; proxy, TLS and WebSocket come on top. network is
	// "tcp" or "unix", and hosts are not looked up before. Close does not wait
	// for a function that ignores ctx. Zero means net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// UserProperties go with CONNECT (5.0).
	UserProperties []UserProperty
	// Hooks see messages on their way. Each implements PublishHook, HandleHook or
	// both; they are called in this order. Zero means none.
	Hooks []any
	// Logger gets what happens to the connection, at LevelPacket also every packet,
	// never payloads or secrets. Its
	// handler must not wait for the client, by Close for example.
	// Zero means silence.
	Logger *slog.Logger

	catchAll bool              // everything waits that nobody has claimed, in a fresh session too
	network  transport.Network // what tests replace
}

// ProxyFromEnvironment is the value of Config.Proxy that asks the environment.
const ProxyFromEnvironment = transport.ProxyFromEnvironment

// Will is the message that the server publishes when a client is gone.
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

// connectPacket builds the CONNECT of one attempt.
func (c *Config) connectPacket(v Version, clean bool, username string, password Secret) *wire.Connect {
	p := &wire.Connect{Version: v, Bridge: c.Bridge, ClientID: c.ClientID, CleanStart: clean}
	if c.KeepAlive > 0 {
		p.KeepAlive = uint16(min(seconds(c.KeepAlive), math.MaxUint16))
	}
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
	if w := c.Will; w != nil {
		p.Will = &wire.Will{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain}
		if v == V5 {
			w.addProperties(p.Will)
		}
	}
	if v == V5 {
		p.SessionExpiryInterval = seconds(max(c.SessionExpiry, 0))
		p.ReceiveMaximum = c.ReceiveMaximum
		p.MaximumPacketSize = c.MaximumPacketSize
		p.TopicAliasMaximum = c.TopicAliasMaximum
		p.RequestResponseInformation = c.RequestResponseInformation
		if c.NoProblemInformation {
			p.RequestProblemInformation = new(false)
		}
		p.UserProperties = c.UserProperties
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
