package mqtt

import (
	"crypto/tls"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// ServerInfo is what the last connection learned of the server and agreed on with it.
type ServerInfo struct {
	Server  string               // the URL of the server, without user, password and query
	Address string               // that the connection was made to: an IP address and a port, or the path of a Unix socket
	TLS     *tls.ConnectionState // what the TLS of the client has agreed on; nil: there is none, or it is that of the browser
	Since   time.Time            // when the server accepted the connection

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
