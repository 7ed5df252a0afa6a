package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// State is what the client is doing.
type State uint8

// The states of a client.
const (
	Connecting   State = iota // an attempt is under way
	Connected                 // the server has accepted the connection
	Reconnecting              // waiting before the next attempt
	Closed                    // ended for good
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Reconnecting:
		return "reconnecting"
	}
	return "closed"
}

// ServerInfo is what is known of the server and agreed with it, as of the last
// connection.
type ServerInfo struct {
	Version        Version
	Fallback       error // why Version is not 5.0, with Auto; nil: it is, or was chosen
	ClientID       string
	SessionPresent bool
	KeepAlive      time.Duration // zero: off
	SessionExpiry  time.Duration // how long the server keeps the session without a connection (5.0)
	Limits         session.Limits

	ResponseInformation string
	ReasonString        string
	UserProperties      []UserProperty
}

// status is what is known of a client. Guarded by engine.mu.
type status struct {
	state State
	info  ServerInfo
}
