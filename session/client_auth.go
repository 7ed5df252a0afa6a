package session

import (
	"bytes"
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Errors of enhanced authentication.
var (
	// ErrNoAuthentication is the error of an answer to a step that there is not, and
	// of a re-authentication on a connection whose CONNECT named no method.
	ErrNoAuthentication = errors.New("no enhanced authentication")
	// ErrAuthenticating is the error of a second re-authentication while one is under
	// way.
	ErrAuthenticating = errors.New("an enhanced authentication is under way")

	errUnconfirmed = errors.New("packet handled before the authentication was confirmed")
)

// AuthStep is a step of an enhanced authentication (5.0) that the server has sent.
// The caller has to answer it with [Client.Authenticate].
type AuthStep struct {
	Data []byte // nil: none
	// Final says that the server has accepted the client. The caller verifies Data,
	// which proves the identity of the server if the method supports that.
	Final bool

	ReasonString   string
	UserProperties []wire.UserProperty
}

// authentication is the state of an exchange. [MQTT-4.12.0-7] There is one only if
// CONNECT names a method.
type authentication struct {
	turn    authTurn
	again   bool          // a re-authentication
	step    *AuthStep     // set in authAnswered
	connack *wire.Connack // the CONNACK that waits until the caller has confirmed its step
}

type authTurn uint8

const (
	authOver     authTurn = iota // no exchange is under way
	authServer                   // the server has to answer
	authAnswered                 // the caller has to answer step
)

// AuthStep returns the step that is to be answered, if there is one. On a new
// connection no packet may be handled until it is answered.
func (c *Client) AuthStep() (step AuthStep, ok bool) {
	if c.authentication.turn != authAnswered {
		return AuthStep{}, false
	}
	return *c.authentication.step, true
}

// Authenticate answers a step: a challenge with data, the Final step by accepting it.
// Accepting the Final step of a new connection opens the connection. A caller that
// does not accept a step ends the connection.
func (c *Client) Authenticate(data []byte, now time.Time) error {
	a := &c.authentication
	if a.turn != authAnswered {
		return ErrNoAuthentication
	}
	if !a.step.Final {
		// [MQTT-4.12.0-3]
		if err := c.sendAuth(wire.ContinueAuthentication, data); err != nil {
			return err
		}
		a.turn, a.step = authServer, nil
		return nil
	}
	ack := a.connack
	c.authentication = authentication{}
	if ack != nil {
		c.openConnection(ack, now)
	}
	return nil
}

// Reauthenticate begins another exchange on an open connection, with the method of
// CONNECT. Other packets are handled meanwhile. Its steps go to
// ClientSettings.Reauthentication.
func (c *Client) Reauthenticate(data []byte) error {
	switch {
	case c.phase != connected: // [MQTT-4.12.1-1]
		return ErrNotConnected
	case c.announced.method == "": // [MQTT-4.12.0-7]
		return ErrNoAuthentication
	case c.authentication.turn != authOver:
		return ErrAuthenticating
	}
	if err := c.sendAuth(wire.Reauthenticate, data); err != nil {
		return err
	}
	c.authentication = authentication{turn: authServer, again: true}
	return nil
}

func (c *Client) sendAuth(code wire.ReasonCode, data []byte) error {
	// [MQTT-4.12.0-5] the method never changes.
	return c.link.Append(&wire.Auth{ReasonCode: code, AuthenticationMethod: c.announced.method, AuthenticationData: data})
}

// handleAuth handles an AUTH, before CONNACK or after it.
func (c *Client) handleAuth(p *wire.Auth) error {
	a := &c.authentication
	switch {
	case c.announced.method == "": // [MQTT-4.12.0-6]
		return protocolError(wire.TypeAuth, wire.ProtocolError, "AUTH without an authentication method")
	case p.AuthenticationMethod != c.announced.method: // [MQTT-4.12.0-5]
		return protocolError(wire.TypeAuth, wire.ProtocolError, "authentication method differs from that of CONNECT")
	case a.turn != authServer:
		return protocolError(wire.TypeAuth, wire.ProtocolError, "AUTH out of turn")
	case p.ReasonCode != wire.ContinueAuthentication && !a.again: // [MQTT-4.12.0-2]
		return protocolError(wire.TypeAuth, wire.ProtocolError, "AUTH with %v before CONNACK", p.ReasonCode)
	}
	if err := c.checkProblemInformation(wire.TypeAuth, p.ReasonString, p.UserProperties); err != nil {
		return err
	}
	a.turn = authAnswered
	a.step = &AuthStep{Data: bytes.Clone(p.AuthenticationData), Final: p.ReasonCode == wire.Success,
		ReasonString: p.ReasonString, UserProperties: p.UserProperties}
	if a.again && c.settings.Reauthentication != nil {
		c.settings.Reauthentication(*a.step, nil)
	}
	return nil
}

// confirm holds back a CONNACK until the caller has verified its authentication data.
func (c *Client) confirm(ack *wire.Connack) {
	c.phase = confirming
	c.authentication = authentication{turn: authAnswered, connack: ack,
		step: &AuthStep{Data: bytes.Clone(ack.AuthenticationData), Final: true}}
}

// endAuthentication ends an exchange with its connection.
func (c *Client) endAuthentication(err error) {
	again := c.authentication.again
	c.authentication = authentication{}
	if again && c.settings.Reauthentication != nil {
		c.settings.Reauthentication(AuthStep{}, err)
	}
}
