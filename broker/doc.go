// Package broker is an MQTT server that runs inside a program: for tests, for
// examples, and for deployments that need nothing bigger. It speaks MQTT 3.1,
// 3.1.1 and 5.0 with all that they have on the side of the server: three qualities
// of service, retained messages, sessions that outlive their connection, wills,
// shared subscriptions, topic aliases, enhanced authentication.
//
//	b := broker.New(broker.Config{})
//	defer b.Close()
//	addr, err := b.Listen(ctx, "tcp", "127.0.0.1:1883")
//
// # Connections
//
// A [Broker] holds the sessions, subscriptions and retained messages, in memory and,
// if it has a [Config.Store], on the disk.
// Listeners come and go: [Broker.Listen] for TCP, TLS, Unix sockets and WebSocket,
// [Broker.Serve] on any [net.Listener], the broker itself as an [net/http.Handler],
// [NewMemoryListener] and [Broker.Dial] inside the process. Ending a listener ends
// its connections but no session, so one that follows stands for a server that was
// restarted.
//
// # Who may do what
//
// Hooks decide, in the order of [Config]: the first one that does not [Pass] wins,
// and where all pass the answer is no. An [Authenticator] decides who connects:
// [Passwords] is one with a file. An [EnhancedAuthenticator] speaks an
// authentication method of 5.0. An [Authorizer] decides about messages and
// subscriptions: [ACL] is one with rules. An [Observer] is told what happens.
//
// Without any authenticator everybody may connect, and therefore the broker refuses
// to serve other machines; [AllowAll] says that this is meant. Without any
// authorizer everything is allowed, but no client publishes on topics that start
// with $.
//
// A client identifier belongs to one principal while its session lives, connected or
// not: the one that the decision of the authenticator names ([Decision.As]), or the
// user name. Another principal that connects with it gets Not authorized (before 5.0
// return code 5), and neither ends nor gets nor erases the session, clean start or not.
// So an ACL's %c means what it says. [Broker.Release] frees an identifier at once.
// Without authenticators all clients are one, and a session of that time belongs to
// whoever authenticates first.
//
// Hooks run on a goroutine of the client that they are about and hold up only
// that one.
//
// A hook that panics is taken to say no and ends the connection that it was asked
// about: a client that connects gets a CONNACK, any other a DISCONNECT, with
// Implementation specific error. What it had sent is neither passed on nor
// acknowledged, its session stays, a will is not published. The panic is logged with
// its stack; the program and all others go on. An [Observer] that is told about a
// connection, and panics, ends it in the same way. So does a function in [Config.TLS],
// but without an answer.
//
// # Limits
//
// Everything that a client can cost is bounded by [Config], with defaults that are
// safe. What goes beyond gets the reason code that the specification has for it:
//
//	packet size                    DISCONNECT, Packet too large
//	messages open at once (5.0)    DISCONNECT, Receive Maximum exceeded
//	connections                    CONNACK, Server busy; far beyond, no answer
//	sessions                       CONNACK, Quota exceeded, or Server unavailable before 5.0
//	subscriptions of a client      SUBACK, Quota exceeded
//	levels of a filter, a topic    SUBACK, PUBACK, PUBREC, CONNACK: Topic Filter or Name invalid
//	retained messages and bytes    PUBACK, PUBREC: Quota exceeded
//	time until authenticated       the connection is closed
//
// The time until authenticated is [Config.ConnectTimeout], and a millisecond more for
// each byte beyond 4 KiB, so that a slow line gets through.
//
// A slow or absent client never holds up the others. What waits for it is bounded
// by [Config.QueuedMessages] and [Config.QueuedBytes]; beyond that, new messages
// are dropped for this client alone, QoS 0, 1 and 2 alike, and counted in [Stats].
// A client that takes nothing at all for [Config.WriteTimeout] is disconnected.
// QoS 0 messages are not kept for absent clients.
//
// # Surviving a crash
//
// With a [Config.Store], such as a file of package store/bolt, a broker that is killed
// at any instruction goes on, when it is started again, with every session that
// outlives its connection (Session Expiry Interval above 0, before 5.0 Clean Session
// 0) and with the retained messages. What the client has been told is on the disk
// before it is told:
//
//	CONNACK           the session, or that the former one is gone
//	SUBACK, UNSUBACK  the subscriptions, and the retained messages that they bring
//	PUBACK, PUBREC    the message for each session that is kept, and as retained one
//	PUBREC, PUBCOMP   that the identifier was received, that it is free again
//	PUBLISH, PUBREL   the packet identifier, that PUBREC has come
//
// That a subscriber has acknowledged a message is written when there is time. If the
// broker is killed before, the message comes again, at QoS 1 with DUP set; at QoS 2
// the exchange goes on, and the message counts once. Retained messages of QoS 0 are
// written within a fraction of a second, in their last state only.
//
// A message is stored once, whatever the number of sessions that wait for it. What
// goes to QoS 0 and to sessions that end with their connection touches no disk. One
// Commit takes everything that has gathered while the disk was busy with the one
// before. Nobody waits for a slow disk but those who are promised something: QoS 0
// passes, pings are answered. Copies at QoS 0 go out at once, even of a message that
// is refused in the end, all others when it is durable. What waits is bounded, for
// each publisher and in sum; whoever has more there is not read from until the disk
// has caught up, and nobody can leave another will with the broker meanwhile. Messages
// of one publisher stay in order at each QoS.
//
// A Commit that fails, on a full disk for example, is told to those who wait for it:
// QoS 1 and 2 messages, filters and sessions are refused with Quota exceeded, or with
// Implementation specific error if the disk is not full. Where a version has no word
// for it the connection is closed without an answer. What nobody can be told, such as
// a will, is tried until it succeeds; a full Store still takes removals, so its
// messages can be fetched. [Stats] counts failures; the first of a row is logged, and
// that it is over.
//
// Expiry goes on while the broker is away. A session that had a connection at the
// crash is taken to have lost it a minute after the broker last noted the time, which
// it does every minute, or at the start if that was earlier; so it never ends too
// early. Its will is due after the delay, counted from then. Wills of sessions that
// end with their connection are lost in a crash, as is what a hook knows: the Peer of
// a restored session has user name, version and address, but no TLS state.
//
// Records name their format. A Store with a record that is damaged, of a later
// format, or for which there is no space within the limits is refused by [Open] with
// an error that names it; the Store stays as it is. [Broker.Shutdown] commits what is
// left, and whoever opened the Store closes it then.
//
// # The program itself
//
// [Broker.Publish] and [Broker.Subscribe] work without client. [Broker.Clients],
// [Broker.Stats] and the topics below $SYS/broker show what goes on.
// [Broker.Disconnect] sends a client away. [Broker.Shutdown] ends the broker when
// all clients have got what waits for them, [Broker.Close] at once.
//
// # Shared subscriptions
//
// Members take turns, those who are connected first; of those who are not, one that
// messages are kept for. A member whose queue is full is passed over.
//
// A member that is only away keeps what it has and gets it when it comes back: whoever
// keeps a session wants that. When its session ends, by its expiry interval, a DISCONNECT
// or a clean start, the others get what it was not sent and what it has not acknowledged
// at QoS 1, in order and as new messages. When it unsubscribes they get what it was not
// sent; the rest is completed with it. A message that was sent at QoS 2 is nobody else's:
// it is dropped with the session and counted in [Stats] as Dropped, as is what nobody is
// left for. The last member that unsubscribes gets what waits for it.
//
// With a [Config.Store] that survives a crash at any instruction as long as the members'
// sessions do. What a member has whose session ends with its connection is lost with it
// in a crash.
//
// # Choices
//
// Where the specification leaves the choice: a message goes to a client once, with
// the highest QoS and all identifiers of its matching subscriptions, but for each
// shared subscription apart. Of two QoS 2 messages under one packet identifier, the
// second without DUP on a later connection of the session, the second is a repeat if it
// has the same topic, payload and properties, and a new message otherwise. A message that a hook refuses is acknowledged before 5.0,
// and with the reason on 5.0. Session expiry and keep-alive are cut to the maximum
// in [Config]. Wills that are due when the broker is closed are not published, or with
// a [Config.Store] by the next one.
//
// All methods are safe for concurrent use.
package broker
