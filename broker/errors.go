package broker

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// RecordError says which record of [Config.Store] the broker could not use. The
// broker has not changed the Store.
type RecordError struct {
	Key []byte
	Err error
}

// Error names the key.
func (e *RecordError) Error() string { return fmt.Sprintf("mqtt: record %q: %v", e.Key, e.Err) }

// Unwrap returns what is wrong with the record.
func (e *RecordError) Unwrap() error { return e.Err }

// ErrClosed says that the broker is closed.
var ErrClosed = errors.New("mqtt: broker closed")

// ErrOpen says that a broker without authenticators refuses to serve other machines.
// Set [Config.Authenticators], to [AllowAll] if every client may connect.
var ErrOpen = errors.New("mqtt: broker without authenticators serves only its own machine")

// ErrTooMany says that [Config.Connections] is reached and that so many further
// connections wait for their refusal that this one was closed without an answer.
var ErrTooMany = errors.New("mqtt: broker has too many connections")

// errGone says that the connection has lost its session or its writer.
var errGone = errors.New("connection was ended")

// storeCode returns the reason code for a change that could not be made durable. A
// full disk is a quota; the client can do nothing about any other error.
func storeCode(err error) wire.ReasonCode {
	if errors.Is(err, store.ErrFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return wire.QuotaExceeded
	}
	return wire.ImplementationSpecificError
}

// storeFailed is the reason string for clients.
const storeFailed = "cannot be stored"

// brokenText is the reason string for a client on whose behalf a hook was called that
// panicked.
const brokenText = "a hook of the server failed"

// refusal is a negative answer to a client.
type refusal struct {
	code   wire.ReasonCode
	text   string
	server string // the server to use instead; empty: none
	broken bool   // by a hook that has panicked: the connection ends
}

// Error returns the reason.
func (r *refusal) Error() string {
	if r.text == "" {
		return r.code.Error()
	}
	return r.code.Error() + ": " + r.text
}

// Unwrap returns the reason code.
func (r *refusal) Unwrap() error { return r.code }
