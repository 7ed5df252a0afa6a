// Package scram is SCRAM (RFC 5802, RFC 7677) as enhanced authentication of MQTT 5.0.
// The password never crosses the network, and the server proves that it knows the user.
//
//	a, err := scram.SHA256("worker", password)
//	client, err := mqtt.Connect(ctx, server, mqtt.Config{Authenticator: a})
//
// The cryptography is that of github.com/xdg-go/scram.
package scram

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/xdg-go/scram"

	"github.com/seed65a45251/mqtt"
)

// Authenticator authenticates one user. It is safe for concurrent use.
type Authenticator struct {
	method   string
	hash     scram.HashGeneratorFcn
	username string
	password mqtt.Secret

	// proven remembers the keys that the last successful exchange has derived, so
	// that a reconnect is cheap.
	proven atomic.Pointer[deriver]
}

// deriver derives keys and remembers all of them.
type deriver struct {
	client *scram.Client
	uses   int
}

// maxUses bounds the keys that are remembered, should a server change its salt
// every time.
const maxUses = 100

var _ mqtt.Authenticator = (*Authenticator)(nil)

// SHA256 returns an Authenticator by the method SCRAM-SHA-256.
func SHA256(username string, password mqtt.Secret) (*Authenticator, error) {
	return newAuthenticator("SCRAM-SHA-256", scram.SHA256, username, password)
}

// SHA512 returns an Authenticator by the method SCRAM-SHA-512.
func SHA512(username string, password mqtt.Secret) (*Authenticator, error) {
	return newAuthenticator("SCRAM-SHA-512", scram.SHA512, username, password)
}

func newAuthenticator(method string, hash scram.HashGeneratorFcn, username string, password mqtt.Secret) (*Authenticator, error) {
	if username == "" {
		return nil, errors.New("scram: no user name")
	}
	a := &Authenticator{method: method, hash: hash, username: username, password: password}
	_, err := a.newDeriver()
	return a, err
}

func (a *Authenticator) newDeriver() (*deriver, error) {
	client, err := a.hash.NewClient(a.username, string(a.password), "")
	if err != nil {
		// Its text may quote what it was given.
		return nil, errors.New("scram: user name or password has characters that SASLprep does not allow")
	}
	return &deriver{client: client}, nil
}

// Method returns the name of the method.
func (a *Authenticator) Method() string { return a.method }

// String names the method and the user.
func (a *Authenticator) String() string { return fmt.Sprintf("%s for %q", a.method, a.username) }

// GoString is String: printing the fields would show the password.
func (a *Authenticator) GoString() string { return a.String() }

// Start begins an exchange.
func (a *Authenticator) Start(context.Context) (mqtt.AuthExchange, []byte, error) {
	d := a.proven.Swap(nil) // back only with success: no impostor can fill it
	if d == nil || d.uses >= maxUses {
		var err error
		if d, err = a.newDeriver(); err != nil {
			return nil, nil, err
		}
	}
	d.uses++
	x := &exchange{a, d, d.client.NewConversation()}
	first, err := x.step("")
	return x, first, err
}
