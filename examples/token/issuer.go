package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
)

// issuer issues tokens, and has a broker that checks them. A token is the time at which it
// expires, and a signature.
type issuer struct {
	key    []byte
	life   time.Duration
	broker *broker.Broker
}

func newIssuer(life time.Duration) *issuer {
	i := &issuer{key: []byte(rand.Text()), life: life}
	i.broker = broker.New(broker.Config{Authenticators: []broker.Authenticator{broker.AuthenticatorFunc(i.check)}})
	return i
}

func (i *issuer) token(context.Context) (string, error) {
	expires := time.Now().Add(i.life).Format(time.RFC3339Nano)
	return expires + " " + i.sign(expires), nil
}

func (i *issuer) sign(text string) string {
	h := hmac.New(sha256.New, i.key)
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// check lets a client in whose token is good, and out again when it expires.
func (i *issuer) check(_ context.Context, l *broker.Login) broker.Decision {
	text, signature, _ := strings.Cut(string(l.Password), " ")
	expires, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case err != nil || !hmac.Equal([]byte(signature), []byte(i.sign(text))):
		return broker.Deny(mqtt.BadUserNameOrPassword, "not one of our tokens")
	case !time.Now().Before(expires):
		return broker.Deny(mqtt.NotAuthorized, "token has expired")
	}
	// A later login of this client has a timer of its own, which is not needed before the
	// token of that login expires.
	time.AfterFunc(time.Until(expires), func() { i.broker.Disconnect(l.ClientID, mqtt.NotAuthorized) })
	return broker.Allow()
}
