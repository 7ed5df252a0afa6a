// Package broker is an MQTT server that runs inside a program: for tests, for
// examples, and for small deployments. It speaks MQTT 3.1, 3.1.1 and 5.0 with all that
// they define for a server: three qualities of service, retained messages, sessions
// that outlive their connection, wills, shared subscriptions, topic aliases, enhanced
// authentication.
//
//	b := broker.New(broker.Config{})
//	defer b.Close()
//	addr, err := b.Listen(ctx, "tcp", "127.0.0.1:1883")
//
// # Connections
//
// A [Broker] holds the sessions, subscriptions and retained messages, in memory and,
// if it has a [Config.Store], on the disk. Connections come in five ways:
// [Broker.Listen] for TCP, TLS, Unix sockets and WebSocket, [Broker.Serve] on any
// [net.Listener], the broker itself as an [net/http.Handler], and [NewMemoryListener]
// and [Broker.Dial] inside the process. Ending a listener ends its connections but no
// session, so a listener that follows behaves like a server that was restarted.
//
// # Access
//
// Hooks decide, in the order of [Config]. The first one that does not [Pass] wins; if
// all pass, the answer is no. An [Authenticator] decides which clients may connect:
// [Passwords] is one with a file. An [EnhancedAuthenticator] speaks an authentication
// method of 5.0. An [Authorizer] decides about messages and subscriptions: [ACL] is one
// with rules. An [Observer] is told what happens.
//
// Without any authenticator every client may connect. The broker therefore refuses to
// serve other machines then, unless [AllowAll] is set. Without any authorizer everything
// is allowed, except that clients cannot publish on topics that start with $.
//
// A client identifier belongs to one principal while its session lives, connected or
// not. The decision of the authenticator names the principal ([Decision.As]); otherwise
// it is the user name. Another principal that connects with the identifier gets Not
// authorized (before 5.0 return code 5), clean start or not. It neither ends nor gets
// nor erases the session, so the %c of an ACL can be relied upon. [Broker.Release]
// frees an identifier at once. Without authenticators all clients are one principal,
// and a session of that time belongs to the first principal that authenticates.
//
// A hook runs on a goroutine of the client that it decides about, and holds up only
// that client.
//
// A hook that panics is taken to say no and ends the connection that it was asked
// about. A client that connects gets a CONNACK, any other a DISCONNECT, with
// Implementation specific error. What the client had sent is neither passed on nor
// acknowledged, its session stays, and its will is not published. The panic is logged
// with its stack; the program and all other connections go on. An [Observer] that panics
// while it is told about a connection ends that connection in the same way. A function
// in [Config.TLS] that panics ends it without an answer.
//
// # Limits
//
// Everything that a client can cost is bounded by [Config], with defaults that are
// safe. A client that exceeds a limit gets the reason code that the specification has
// for it:
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
// A slow or absent client never holds up the others. [Config.QueuedMessages] and
// [Config.QueuedBytes] bound what waits for it. Beyond these limits new messages are
// dropped for this client alone, at every QoS, and counted in [Stats]. A client that
// takes nothing at all for [Config.WriteTimeout] is disconnected. QoS 0 messages are not
// kept for absent clients.
//
// # Surviving a crash
//
// With a [Config.Store], such as a file of package store/bolt, a broker may be killed at
// any instruction. When it is started again, it goes on with the retained messages and
// with every session that outlives its connection (Session Expiry Interval above 0,
// before 5.0 Clean Session 0). Before a packet is sent, the disk has the state that the
// packet tells the client:
//
//	CONNACK           the session, or that the former one is gone
//	SUBACK, UNSUBACK  the subscriptions, and the retained messages that they bring
//	PUBACK, PUBREC    the message for each session that is kept, and as retained one
//	PUBREC, PUBCOMP   that the identifier was received, that it is free again
//	PUBLISH, PUBREL   the packet identifier, that PUBREC has come
//
// The acknowledgement of a subscriber is written later. If the broker is killed before,
// the message comes again: at QoS 1 with DUP set; at QoS 2 the exchange goes on, and the
// message counts once. Retained messages of QoS 0 are written within a fraction of a
// second, in their last state only.
//
// A message is stored once, whatever the number of sessions that wait for it. Copies at
// QoS 0 and copies for sessions that end with their connection touch no disk. One Commit
// takes everything that has gathered while the disk was busy with the one before.
//
// A slow disk delays only what has to be stored: QoS 0 passes, pings are answered.
// Copies at QoS 0 go out at once, even those of a message that is refused in the end. All
// other copies go out when the message is durable. What waits for the disk is bounded,
// for each publisher and in sum. A publisher that exceeds its bound is not read from
// until the disk has caught up, and no client can leave another will with the broker
// meanwhile. Messages of one publisher stay in order at each QoS.
//
// When a Commit fails, on a full disk for example, the clients that wait for it are
// told: QoS 1 and 2 messages, filters and sessions are refused with Quota exceeded, or
// with Implementation specific error if the disk is not full. Where a version has no
// code for that, the connection is closed without an answer. A change that no client
// waits for, such as a will, is tried until it succeeds. A full Store still takes
// removals, so its messages can be fetched. [Stats] counts failures. The first failure
// in a row is logged, and so is their end.
//
// Expiry goes on while the broker is away. A session that had a connection at the
// crash is taken to have lost it a minute after the broker last noted the time, which
// it does every minute, or at the start if that was earlier; so it never ends too
// early. Its will is due after the delay, counted from then. Wills of sessions that
// end with their connection are lost in a crash. The Peer of a restored session has user
// name, version and address, but no TLS state.
//
// Records name their format. [Open] refuses a Store with a record that is damaged, that
// has a later format, or that does not fit the limits. The error names the record, and
// the Store stays as it is. [Broker.Shutdown] commits what is left; after that the
// program closes the Store that it has opened.
//
// # The program itself
//
// [Broker.Publish] and [Broker.Subscribe] work without a client. [Broker.Clients],
// [Broker.Stats] and the topics below $SYS/broker show what goes on. [Broker.Disconnect]
// disconnects a client. [Broker.Shutdown] ends the broker when all clients have got what
// waits for them, [Broker.Close] at once.
//
// # Shared subscriptions
//
// Members that are connected take turns. If none is connected, a message goes to a
// member whose session keeps it. A member whose queue is full is passed over.
//
// A member that is only away keeps what it has and gets it when it comes back. When its
// session ends, by its expiry interval, a DISCONNECT or a clean start, the other members
// get what it was not sent and what it has not acknowledged at QoS 1, in order and as
// new messages. When it unsubscribes, they get what it was not sent; the rest is
// completed with the member itself. A message that was sent at QoS 2 goes to no other
// member: it is dropped with the session and counted in [Stats] as Dropped. So is a
// message for which no member is left. The last member that unsubscribes gets what waits
// for it.
//
// With a [Config.Store] all this survives a crash at any instruction, as long as the
// members' sessions do. What a member has is lost in a crash if its session ends with
// its connection.
//
// # Choices
//
// Where the specification leaves the choice, the broker does this:
//
//   - A message goes to a client once, with the highest QoS and all identifiers of its
//     matching subscriptions. Each shared subscription counts apart.
//   - Two QoS 2 messages may come under one packet identifier, the second without DUP on
//     a later connection of the session. The second is a repeat if it has the same topic,
//     payload and properties, and a new message otherwise.
//   - A message that a hook refuses is acknowledged before 5.0, and with the reason on
//     5.0.
//   - Session expiry and keep-alive are cut to the maximum in [Config].
//   - Wills that are due when the broker is closed are not published. With a
//     [Config.Store] the next broker publishes them.
//
// All methods are safe for concurrent use.
package broker
