package broker

import "context"

// EnhancedAuthenticator speaks one authentication method of MQTT 5.0, such as
// SCRAM-SHA-256. Authenticators are chosen by their method.
type EnhancedAuthenticator interface {
	// AuthenticationMethod returns the name of the method.
	AuthenticationMethod() string
	// Begin starts an exchange with a client that connects or, if l.Again is set,
	// authenticates again. Next may set l.Username. A client that authenticates again
	// as another principal is disconnected with [wire.NotAuthorized]; see
	// [Decision.As].
	Begin(l *Login) Exchange
}

// Exchange is one authentication of one client. It is used by one goroutine of that
// client only.
type Exchange interface {
	// Next gets the data that the client sent, or nil if it sent none, and returns
	// the data to send. [Pass] means that the client has to answer. [Allow] ends the
	// exchange; the data is sent with the last packet. [Deny] ends the connection.
	//
	// ctx ends [Config.ConnectTimeout] after the client began, and when the broker
	// ends. data must not be kept.
	Next(ctx context.Context, data []byte) ([]byte, Decision)
}
