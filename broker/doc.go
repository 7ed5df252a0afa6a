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
// A [Broker] holds the sessions, subscriptions and retained messages, in memory.
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
// with $. A session belongs to the client identifier and the user name together.
//
// Hooks run on the goroutine of the client that they are about and hold up only
// that one.
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
// A slow or absent client never holds up the others. What waits for it is bounded
// by [Config.QueuedMessages] and [Config.QueuedBytes]; beyond that, new messages
// are dropped for this client alone, QoS 0, 1 and 2 alike, and counted in [Stats].
// A client that takes nothing at all for [Config.WriteTimeout] is disconnected.
// QoS 0 messages are not kept for absent clients.
//
// # The program itself
//
// [Broker.Publish] and [Broker.Subscribe] work without client. [Broker.Clients],
// [Broker.Stats] and the topics below $SYS/broker show what goes on.
// [Broker.Disconnect] sends a client away. [Broker.Shutdown] ends the broker when
// all clients have got what waits for them, [Broker.Close] at once.
//
// # Choices
//
// Where the specification leaves the choice: a message goes to a client once, with
// the highest QoS and all identifiers of its matching subscriptions, but for each
// shared subscription apart. Members of a shared subscription take turns, those who
// are connected first. A message that a hook refuses is acknowledged before 5.0,
// and with the reason on 5.0. Session expiry and keep-alive are cut to the maximum
// in [Config]. Wills that are due when the broker is closed are not published.
//
// All methods are safe for concurrent use.
package broker
