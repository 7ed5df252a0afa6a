package broker_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// Users stand in a file with their hashes.
func ExampleLoadPasswords() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	hash, err := broker.HashPassword([]byte("wonderland"))
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "passwords")
	if err := os.WriteFile(path, []byte("alice:"+hash+"\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	passwords, err := broker.LoadPasswords(path)
	if err != nil {
		log.Fatal(err)
	}
	b := broker.New(broker.Config{Authenticators: []broker.Authenticator{passwords}})
	defer b.Close()
	// On a signal, when the file has changed:
	fmt.Println(passwords.Reload())
	// Output: <nil>
}

func ExampleParseACL() {
	acl, err := broker.ParseACL(strings.NewReader(`
user dashboard
topic read devices/#

pattern write devices/%c/up/#
pattern read  devices/%c/down/#
`))
	if err != nil {
		log.Fatal(err)
	}
	b := broker.New(broker.Config{Authorizers: []broker.Authorizer{acl}})
	defer b.Close()

	device := &broker.Peer{ClientID: "thermometer"}
	for _, topic := range []string{"devices/thermometer/up/temp", "devices/oven/up/temp"} {
		d := acl.Authorize(context.Background(), &broker.Access{Peer: device, Action: broker.PublishAction, Topic: topic})
		fmt.Println(topic, d == broker.Allow())
	}
	// Output:
	// devices/thermometer/up/temp true
	// devices/oven/up/temp false
}

func ExampleLoadACL() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "acl")
	if err := os.WriteFile(path, []byte("topic read news/#\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	acl, err := broker.LoadACL(path)
	if err != nil {
		log.Fatal(err)
	}
	// On a signal, when the file has changed:
	fmt.Println(acl.Reload())
	// Output: <nil>
}

// Whoever has a certificate is called by its name; for everybody else the next
// hook decides.
func ExampleAuthenticator() {
	byCertificate := broker.AuthenticatorFunc(func(_ context.Context, l *broker.Login) broker.Decision {
		if l.TLS == nil || len(l.TLS.VerifiedChains) == 0 {
			return broker.Pass()
		}
		l.Username = l.TLS.PeerCertificates[0].Subject.CommonName
		return broker.Allow()
	})
	b := broker.New(broker.Config{Authenticators: []broker.Authenticator{byCertificate}})
	defer b.Close()
	fmt.Println(byCertificate.Authenticate(context.Background(), &broker.Login{}) == broker.Pass())
	// Output: true
}

// Guests may read everything at QoS 0 at most.
func ExampleAuthorizer() {
	guests := broker.AuthorizerFunc(func(_ context.Context, a *broker.Access) broker.Decision {
		switch {
		case a.Peer.Username != "guest":
			return broker.Allow()
		case a.Action == broker.SubscribeAction:
			return broker.AllowUpTo(wire.AtMostOnce)
		}
		return broker.Deny(wire.NotAuthorized, "guests only listen")
	})
	b := broker.New(broker.Config{Authorizers: []broker.Authorizer{guests}})
	defer b.Close()
	d := guests.Authorize(context.Background(), &broker.Access{Peer: &broker.Peer{Username: "guest"}, Action: broker.PublishAction})
	fmt.Println(d == broker.Allow())
	// Output: false
}

// While a server is down for repairs its clients go elsewhere.
func ExampleRedirect() {
	away := broker.AuthenticatorFunc(func(context.Context, *broker.Login) broker.Decision {
		return broker.Redirect(wire.UseAnotherServer, "spare.example.com:1883")
	})
	b := broker.New(broker.Config{Authenticators: []broker.Authenticator{away}})
	defer b.Close()
	fmt.Println(away.Authenticate(context.Background(), nil) == broker.Allow())
	// Output: false
}

func ExampleObserver() {
	b := broker.New(broker.Config{Observers: []broker.Observer{
		broker.ObserverFunc(func(e broker.Event) {
			if e, ok := e.(broker.Published); ok {
				fmt.Printf("%s: %v\n", e.Message.Topic, e.ReasonCode)
			}
		}),
	}})
	defer b.Close()
	if err := b.Publish(&wire.Publish{Topic: "door", Payload: []byte("open")}); err != nil {
		log.Fatal(err)
	}
	// Output: door: no matching subscribers (0x10)
}

// challenge is an authentication method: the broker sends random bytes, and the
// client proves with them that it knows the secret.
type challenge struct{ secret []byte }

func (c challenge) AuthenticationMethod() string          { return "EXAMPLE-HMAC" }
func (c challenge) Begin(l *broker.Login) broker.Exchange { return &challenged{secret: c.secret} }

type challenged struct{ secret, sent []byte }

func (c *challenged) Next(_ context.Context, data []byte) ([]byte, broker.Decision) {
	if c.sent == nil {
		c.sent = []byte(rand.Text())
		return c.sent, broker.Pass() // the client has to answer
	}
	mac := hmac.New(sha256.New, c.secret)
	mac.Write(c.sent)
	if !hmac.Equal(mac.Sum(nil), data) {
		return nil, broker.Deny(wire.NotAuthorized, "wrong answer")
	}
	return nil, broker.Allow()
}

func ExampleEnhancedAuthenticator() {
	method := challenge{secret: []byte("shared")}
	b := broker.New(broker.Config{EnhancedAuthenticators: []broker.EnhancedAuthenticator{method}})
	defer b.Close()

	exchange := method.Begin(nil)
	question, _ := exchange.Next(context.Background(), nil)
	mac := hmac.New(sha256.New, []byte("shared"))
	mac.Write(question)
	_, d := exchange.Next(context.Background(), mac.Sum(nil))
	fmt.Println(d == broker.Allow())
	// Output: true
}
