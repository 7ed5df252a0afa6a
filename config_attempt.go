package mqtt

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
)

// Attempt is what one attempt to connect to one server uses. Config.Attempt may
// change it, so that credentials, certificates and signed URLs can expire.
type Attempt struct {
	// Number counts the rounds over the servers since the connection was lost,
	// from 1, and Cause is why the last connection or attempt failed; nil at
	// first. Redirected says that another server has named this one. ClientID is
	// the client identifier: that of Config, or of a SubscribeOptions.OwnConnection.
	// Changing these four has no effect.
	Number     int
	Cause      error
	Redirected bool
	ClientID   string

	// Server is the URL of the server, without user name and password. Those of
	// another URL that is put here count if Username and Password are empty.
	Server string
	// Header goes with the WebSocket request. It is a copy and never nil.
	Header http.Header
	// TLS is a copy of Config.TLS and never nil: its fields may be set, another
	// client certificate for example.
	TLS *tls.Config
	// Username and Password go with CONNECT, each if it is not "". Empty is one without a
	// character.
	Username string
	Password Secret
	// UserProperties go with CONNECT (5.0). The slice is a copy.
	UserProperties []UserProperty
}

// String names the attempt without what may be secret.
func (a Attempt) String() string {
	server := "?"
	if s, err := parseServer("", a.Server); err == nil {
		server = s.String()
	}
	return fmt.Sprintf("mqtt.Attempt{Number: %d, Server: %q}", a.Number, server)
}

// GoString is String.
func (a Attempt) GoString() string { return a.String() }

// LogValue is String.
func (a Attempt) LogValue() slog.Value { return slog.StringValue(a.String()) }
