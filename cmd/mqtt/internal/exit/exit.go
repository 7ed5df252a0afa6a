// Package exit has the exit codes of all commands, and says which an error gets.
package exit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// The exit codes that scripts can rely on. A command that was interrupted before it was
// done has 128 and the number of the signal: 130 for SIGINT, 143 for SIGTERM.
const (
	Done       = 0 // the command did what it was asked
	Failed     = 1 // anything that has no code of its own
	Usage      = 2 // wrong flags or arguments, or a profile that cannot be used
	Connection = 3 // no connection, or the server refused it
	Timeout    = 4 // the time given by --timeout was over first
	Refused    = 5 // the server refused a message or a filter
	Responder  = 6 // the responder answered a request with an error
)

// Error is an error with its exit code.
type Error struct {
	Code int
	Err  error // nil: there is nothing to print
}

// Error returns the text of Err.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// With gives err an exit code. It returns nil if err is nil.
func With(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// Usagef returns an error about how the command was called.
func Usagef(format string, args ...any) error {
	return &Error{Code: Usage, Err: fmt.Errorf(format, args...)}
}

// Signal is the cause of a context that a signal has ended.
type Signal struct{ os.Signal }

// Error names the signal.
func (s Signal) Error() string { return s.String() }

// Code returns the exit code of err: Done if it is nil.
func Code(err error) int {
	if err == nil {
		return Done
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if s, ok := errors.AsType[Signal](err); ok {
		if number, ok := s.Signal.(syscall.Signal); ok {
			return 128 + int(number)
		}
		return Failed
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Timeout
	}
	if _, ok := errors.AsType[*mqtt.ResponseError](err); ok {
		return Responder
	}
	if e, ok := errors.AsType[*mqtt.ServerError](err); ok {
		if e.Packet == wire.TypeConnack || e.Packet == wire.TypeDisconnect || e.Packet == wire.TypeAuth {
			return Connection
		}
		return Refused
	}
	if _, ok := errors.AsType[*mqtt.LimitError](err); ok {
		return Refused
	}
	if errors.Is(err, mqtt.ErrRetriesExhausted) || errors.Is(err, mqtt.ErrAuthenticator) {
		return Connection
	}
	if errors.Is(err, mqtt.ErrInvalid) {
		return Usage
	}
	if _, ok := errors.AsType[*wire.FieldError](err); ok {
		return Usage
	}
	return Failed
}

// Quiet reports whether err has nothing to print: the command was interrupted, or has
// printed it already.
func Quiet(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok && e.Err == nil {
		return true
	}
	_, interrupted := errors.AsType[Signal](err)
	return interrupted
}
