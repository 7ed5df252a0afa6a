package broker

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/seed65a45251/mqtt/wire"
)

// Authenticator decides which clients may connect.
//
// It runs on a goroutine of the client's own and delays no other client. ctx ends
// after [Config.ConnectTimeout] and when the broker ends.
type Authenticator interface {
	Authenticate(ctx context.Context, l *Login) Decision
}

// AuthenticatorFunc is a function as an [Authenticator].
type AuthenticatorFunc func(ctx context.Context, l *Login) Decision

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, l *Login) Decision { return f(ctx, l) }

// AllowAll lets every client in. A broker without any [Authenticator] does so too,
// but then it serves only clients of this machine.
type AllowAll struct{}

// Authenticate allows.
func (AllowAll) Authenticate(context.Context, *Login) Decision { return Allow() }

// Authorizer decides what a client may publish and subscribe to.
//
// It is asked about each message of a client, about wills when they are published, and
// about filters when the client subscribes. It is asked again when a client resumes its
// session, also after a restart of the broker, and when the rules change ([ACL.Reload],
// [Broker.Reauthorize]). Before the client is sent anything, the broker then asks about
// each filter of the session and, with [SubscribeAction], about the topic of each
// message that waits. A message is sent if its topic is allowed, or if one of the
// filters that match it is. Otherwise it is dropped and counted as Denied, or goes to
// another member of the shared subscription.
//
// The broker does not ask about other messages to a client, with one exception: after
// one of its filters was refused in this way, it asks about each message for the
// client.
//
// It is called by many goroutines at once, each of which belongs to the client in
// question. No lock is held. ctx ends with the broker. a must not be kept.
type Authorizer interface {
	Authorize(ctx context.Context, a *Access) Decision
}

// AuthorizerFunc is a function as an [Authorizer].
type AuthorizerFunc func(ctx context.Context, a *Access) Decision

// Authorize calls f.
func (f AuthorizerFunc) Authorize(ctx context.Context, a *Access) Decision { return f(ctx, a) }

// Access is what a client wants to do.
type Access struct {
	Peer   *Peer
	Action Action
	// Topic is the topic name of a message or the topic filter of a subscription. For
	// a shared subscription it is the filter that follows $share and the share name.
	Topic string
	// QoS is the QoS of the message, or the one that the subscription asks for.
	QoS wire.QoS
	// Message is the whole message. It is nil for a subscription and must not be
	// changed.
	Message *wire.Publish
}

// Action is a kind of access.
type Action uint8

// The kinds of access.
const (
	PublishAction Action = iota + 1
	SubscribeAction
)

// String returns "publish" or "subscribe".
func (a Action) String() string {
	switch a {
	case PublishAction:
		return "publish"
	case SubscribeAction:
		return "subscribe"
	}
	return "unknown action"
}

// Login is what a client says about itself when it connects. An authenticator may set
// Username to a name that it found out, such as the one in a client certificate. The
// authorizers see that name, and the client identifier belongs to it unless the
// decision says otherwise; see [Decision.As].
type Login struct {
	Peer
	Password []byte // nil: none; must not be kept

	// AuthenticationMethod is empty except for enhanced authentication. Again says
	// that the client is already connected and authenticates again.
	AuthenticationMethod string
	Again                bool

	// Request is the HTTP request of a WebSocket, with its cookies and headers. It is
	// nil for other connections.
	Request *http.Request
}

// Peer is a client as the hooks see it.
type Peer struct {
	ClientID   string // empty during the login of a client that wants one assigned
	Username   string // empty: none
	Version    wire.Version
	RemoteAddr net.Addr
	// TLS says how the connection is protected and holds the client's certificates.
	// It is nil without TLS and must not be changed.
	TLS *tls.ConnectionState

	principal principal
}

// principal is the identity of a client as the authenticators see it.
type principal struct {
	name  string
	known bool // false: no authenticator was asked, and all such clients are one principal
}

// is reports whether p and other may be the same principal.
func (p principal) is(other principal) bool {
	return !p.known || !other.known || p.name == other.name
}
