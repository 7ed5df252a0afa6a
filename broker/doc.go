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
// [net.Listener], the broker itself as a [net/http.Handler], and [NewMemoryListener]
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
// A hook that panics says no and ends its connection; the program goes on.
//
// # Limits
//
// Everything that a client can cost is bounded by [Config], with defaults that are safe.
// A client that exceeds a limit gets the reason code that the specification has for it.
// A slow or absent client never holds up the others: what waits for it is bounded, and
// beyond that new messages are dropped for this client alone, and counted in Stats.
//
// # Surviving a crash
//
// With a [Config.Store], such as a file of package store/bolt, a broker may be killed at
// any instruction. When it is started again, it goes on with the retained messages and
// with every session that outlives its connection. What an acknowledgement promises is
// on the disk before it is sent. Many clients share one write, and a slow disk delays
// only what has to be stored. The program closes the Store after the broker.
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
// Members that are connected take turns. If none is connected, a message goes to a member
// whose session keeps it. When a session ends, the other members get what it has left.
//
// All methods are safe for concurrent use. docs/broker.md in the repository has the
// details: limits, what is on the disk when, shared subscriptions, and what the broker
// does where the specification leaves the choice.
package broker
