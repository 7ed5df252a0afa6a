package mqtt

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed65a45251/mqtt/internal/durable"

	"github.com/seed65a45251/mqtt/internal/transport"
	"github.com/seed65a45251/mqtt/session"
)

// States that end or refuse a request. Test with errors.Is.
var (
	// ErrClosed says that Close or Disconnect ended the client.
	ErrClosed = errors.New("client closed")
	// ErrConnectionLost says that the answer to a request can no longer come
	// because its connection ended.
	ErrConnectionLost = session.ErrConnectionLost
	// ErrNotConnected says that a request needs a connection, does not wait for one,
	// and found none.
	ErrNotConnected = session.ErrNotConnected
	// ErrExpired says that a message's expiry interval, or Config.QueueAge, ended while
	// the message was in the queue.
	ErrExpired = session.ErrExpired
	// ErrStale says that a message can no longer be acknowledged: the server has lost
	// the session, or has given the packet identifier to another message.
	ErrStale = session.ErrStale
	// ErrUndeliverable says that the server ended the connection each time it got this
	// message or filter: ten times in which nothing else can have been the cause. The
	// error also wraps how the server ended it: a *ServerError if the server gave a
	// reason, otherwise the end of the connection. A QoS 2 message may have been
	// delivered by then.
	ErrUndeliverable = session.ErrUndeliverable
	// ErrSessionLost says that a message was sent, and that the session was not
	// continued before the server acknowledged the message. The message may have been
	// delivered. Only Config.FailOnSessionLoss brings this error.
	ErrSessionLost = session.ErrSessionLost
	// ErrKeepAlive says that the server stopped answering.
	ErrKeepAlive = session.ErrKeepAlive
	// ErrUnsubscribed is what Next returns after Unsubscribe or Drain.
	ErrUnsubscribed = errors.New("unsubscribed")
	// ErrQueueFull says that a queue had no space: for a message or filter within its
	// context, or for a message at once if Config.WhenFull or Message.NotQueued says so.
	// In Watch it is about the queue of a Subscription.
	ErrQueueFull = errors.New("queue full")
	// ErrStalled says that a message has been held so long that it may hold up the
	// acknowledgements behind it. Watch reports it; see Config.StallAfter.
	ErrStalled = errors.New("acknowledgements held up")
	// ErrUnclaimed says that messages matched no Subscription. They belong to the
	// session of an earlier process, or the server sent them on its own. Watch reports
	// it; see Config.HoldUnclaimedFor.
	ErrUnclaimed = errors.New("messages unclaimed")
	// ErrInvalid is in every error about an argument or a Config that cannot work.
	ErrInvalid = errors.New("invalid argument")
)

// ServerError is what the server said in CONNACK, PUBACK, PUBREC, PUBCOMP,
// SUBACK, UNSUBACK or DISCONNECT. Errors have a pointer to it: find it with
// errors.AsType[*mqtt.ServerError](err). Its fields are:
//
//	Packet          wire.PacketType // the packet that brought the code
//	ReasonCode      ReasonCode      // what errors.Is compares with
//	ReasonString    string          // text for people; empty if the server gave none
//	ServerReference string          // another server, with UseAnotherServer and ServerMoved
//	UserProperties  []UserProperty
//
// Its methods are:
//
//	Error() string // the packet, the reason code and the server's own words
//	Unwrap() error // the ReasonCode
type ServerError = session.ServerError

// LimitError says that a request exceeds a limit that the server announced. The request
// was not sent. Errors have a pointer to it: find it with
// errors.AsType[*mqtt.LimitError](err). Its fields are:
//
//	ReasonCode ReasonCode // the one that the server would have given
//	Detail     string     // names the limit
//
// Its methods are:
//
//	Error() string // the Detail
//	Unwrap() error // the ReasonCode
type LimitError = session.LimitError

// HTTPError is an unexpected answer to an HTTP request: the answer of a server to the
// WebSocket handshake, or of an HTTP proxy to CONNECT. Redirections are not followed,
// because the headers and the query of the request may be secret. Errors have a pointer
// to it: find it with errors.AsType[*mqtt.HTTPError](err). Its fields are:
//
//	Proxy      bool // the answer is the proxy's
//	StatusCode int  // of the answer
//
// It has one method:
//
//	Error() string // server or proxy, the status code and its text
type HTTPError = transport.HTTPError

// NotSent reports whether err, returned by a method of Client, guarantees that the
// request never reached the server. Repeating the request then cannot carry it out
// twice. If false, the server may have received it.
func NotSent(err error) bool {
	e, ok := errors.AsType[*requestError](err)
	return ok && !e.sent
}

// requestError wraps what ended a request and knows whether it was sent.
type requestError struct {
	op   string // "publish", "subscribe", …
	name string // topic or filter
	sent bool
	err  error
}

func (e *requestError) Error() string {
	text := "mqtt: " + e.op
	if e.name != "" {
		text += fmt.Sprintf(" %.80q", e.name)
	}
	text += ": " + inner{e.err}.Error()
	if !e.sent {
		text += " (not sent)"
	}
	return text
}

func (e *requestError) Unwrap() error { return e.err }

// argumentError is a refusal of something that the caller gave.
type argumentError struct {
	what string
	err  error
}

func invalid(what string, format string, args ...any) error {
	return &argumentError{what, fmt.Errorf(format, args...)}
}

func (e *argumentError) Error() string {
	if e.what == "" { // err names it
		return e.err.Error()
	}
	return e.what + ": " + e.err.Error()
}

func (e *argumentError) Unwrap() []error { return []error{ErrInvalid, e.err} }

// saidSomething reports whether err is what the server has said in a packet.
func saidSomething(err error) bool {
	_, said := errors.AsType[*ServerError](err)
	return said
}

// inner is an error of this package within another one, which says mqtt already.
type inner struct{ err error }

func (e inner) Error() string { return strings.TrimPrefix(e.err.Error(), "mqtt: ") }

func (e inner) Unwrap() error { return e.err }

// ErrStore is wrapped by errors of Config.Store.
var ErrStore = durable.ErrStore
