package broker

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/seed65a45251/mqtt/wire"
)

// Authenticator decides who may connect.
//
// It runs on the client's own goroutine and holds up nobody else. ctx ends after
// [Config.ConnectTimeout], and with the broker.
type Authenticator interface {
	Authenticate(ctx context.Context, l *Login) Decision
}

// AuthenticatorFunc is a function as an [Authenticator].
type AuthenticatorFunc func(ctx context.Context, l *Login) Decision

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, l *Login) Decision { return f(ctx, l) }

// AllowAll lets every client in. A broker without any [Authenticator] does so too,
// but only for clients of this machine.
type AllowAll struct{}

// Authenticate allows.
func (AllowAll) Authenticate(context.Context, *Login) Decision { return Allow() }

// Authorizer decides what a client may publish and subscribe to.
//
// It is asked about each message of a client, about wills when they are published, and
// about filters when the client subscribes. When a client goes on with a session, also
// after a restart of the broker, and when the rules change ([ACL.Reload],
// [Broker.Reauthorize]), it is asked again before the client is sent anything: about
// each filter of the session, and, with [SubscribeAction], about the topics of what
// waits. What neither the topic nor a filter that matches it is allowed for is not sent
// but dropped and counted as Denied, or goes to another member of the shared
// subscription. Otherwise no message to a client is asked about, unless one of its
// filters was refused in this way: then each message that comes for the client is.
//
// It is called by many goroutines at once, each of which belongs to the client in
// question; no lock is held. ctx ends with the broker. A must not be kept.
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
	// Topic is the topic name of a message or the topic filter of a subscription;
	// of a shared one, what follows $share and the name.
	Topic string
	// QoS is that of the message, or the one asked for.
	QoS wire.QoS
	// Message is the whole message; nil for a subscription. It must not be changed.
	Message *wire.Publish
}

// Action is a kind of access.
type Action uint8

// What clients do.
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

// Login is what a client says about itself when it connects. An authenticator may
// set Username to what it found out, such as the name in a client certificate;
// that is what the authorizers see, and to whom the client identifier belongs unless
// the decision says otherwise, see [Decision.As].
type Login struct {
	Peer
	Password []byte // nil: none; must not be kept

	// AuthenticationMethod is empty except for enhanced authentication, and
	// Again says that the client, already connected, authenticates again.
	AuthenticationMethod string
	Again                bool

	// Request is that of a WebSocket, with its cookies and headers; nil otherwise.
	Request *http.Request
}

// Peer is a client as the hooks see it.
type Peer struct {
	ClientID   string // empty during the login of a client that wants one assigned
	Username   string // empty: none
	Version    wire.Version
	RemoteAddr net.Addr
	// TLS says how the connection is protected and holds the certificates of the
	// client; nil: without TLS. It must not be changed.
	TLS *tls.ConnectionState

	principal principal
}

// principal is who a client is, as far as the authenticators know.
type principal struct {
	name  string
	known bool // false: nobody was asked, and all are one
}

// is reports whether two may be the same.
func (p principal) is(other principal) bool {
	return !p.known || !other.known || p.name == other.name
}
