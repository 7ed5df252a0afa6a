package session

import (
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

// Errors of requests that the engine itself ends.
var (
	// ErrNotConnected is the answer to a request that needs a connection.
	ErrNotConnected = errors.New("not connected")
	// ErrConnectionLost ends a SUBSCRIBE or UNSUBSCRIBE whose answer can no longer come.
	ErrConnectionLost = errors.New("connection lost before the answer")
	// ErrExpired ends a queued message whose message expiry interval ran out before it was sent.
	ErrExpired = errors.New("message expired before it was sent")
	// ErrStale is the answer to an acknowledgement of a message that is no longer part of the session.
	ErrStale = errors.New("message can no longer be acknowledged")
	// ErrUndeliverable ends a message or a request because of which the server ended one
	// connection after another. The error also wraps how the server ended the last one.
	ErrUndeliverable = errors.New("server ends the connection whenever it gets this packet")
	// ErrSessionLost ends a message that was sent and not acknowledged when the
	// server did not continue the session, if [ClientSettings.FailLost] is set. It is
	// not known whether the server has passed the message on.
	ErrSessionLost = errors.New("session lost before the message was acknowledged")
	// ErrSuperseded ends a message that was never sent, or that the server refused for now,
	// because a later one of its topic takes its place. The error also wraps the refusal.
	ErrSuperseded = errors.New("a later message of the topic has its place")
	// ErrKeepAlive says that the server did not answer a PINGREQ in time.
	ErrKeepAlive = errors.New("server does not answer PINGREQ")
)

// ServerError is what the server said: a refusal in CONNACK, PUBACK, PUBREC,
// PUBCOMP, SUBACK or UNSUBACK, or a DISCONNECT. It unwraps to its ReasonCode.
type ServerError struct {
	Packet          wire.PacketType // the packet that brought the code
	ReasonCode      wire.ReasonCode
	ReasonString    string // for diagnostics; empty when the server gave none
	ServerReference string // with UseAnotherServer and ServerMoved
	UserProperties  []wire.UserProperty
}

// Error names the packet, the reason code and the server's own words.
func (e *ServerError) Error() string {
	if e.ReasonString == "" {
		return fmt.Sprintf("server answered %v: %v", e.Packet, e.ReasonCode.Error())
	}
	return fmt.Sprintf("server answered %v: %v: %.400q", e.Packet, e.ReasonCode.Error(), e.ReasonString)
}

// Unwrap returns the reason code.
func (e *ServerError) Unwrap() error { return e.ReasonCode }

// LimitError says that a request breaks a limit that the server announced. The
// request was not sent. LimitError unwraps to the reason code that the server would
// have given.
type LimitError struct {
	ReasonCode wire.ReasonCode
	Detail     string
}

// Error names the limit.
func (e *LimitError) Error() string { return e.Detail }

// Unwrap returns the reason code.
func (e *LimitError) Unwrap() error { return e.ReasonCode }

func protocolError(t wire.PacketType, code wire.ReasonCode, format string, args ...any) error {
	return &wire.Error{Packet: t, Reason: code, Detail: fmt.Sprintf(format, args...)}
}
