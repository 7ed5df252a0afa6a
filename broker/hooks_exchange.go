package broker

import "context"

// EnhancedAuthenticator speaks one authentication method of MQTT 5.0, such as
// SCRAM-SHA-256. Authenticators are chosen by their method.
type EnhancedAuthenticator interface {
	// AuthenticationMethod returns the name of the method.
	AuthenticationMethod() string
	// Begin starts an exchange with a client that connects or, with l.Again,
	// authenticates again. Next may set l.Username. A client that turns out to be
	// another principal when it authenticates again is disconnected with
	// [wire.NotAuthorized], see [Decision.As].
	Begin(l *Login) Exchange
}

// Exchange is one authentication of one client. It belongs to that client's own
// goroutine.
type Exchange interface {
	// Next takes what the client sent, nil if that was nothing, and returns what to
	// send it. [Pass] means that the client has to answer. [Allow] ends the exchange;
	// the data goes with the last packet. [Deny] ends the connection.
	//
	// ctx ends [Config.ConnectTimeout] after the client began, and with the broker.
	// The data of the client must not be kept.
	Next(ctx context.Context, data []byte) ([]byte, Decision)
}
