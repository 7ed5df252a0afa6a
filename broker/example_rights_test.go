package broker_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// The user name is a token of some subject, "subject.number". The session belongs to the
// subject, whatever the number of the token.
func ExampleDecision_As() {
	tokens := broker.AuthenticatorFunc(func(_ context.Context, l *broker.Login) broker.Decision {
		subject, _, ok := strings.Cut(l.Username, ".")
		if !ok {
			return broker.Deny(wire.BadUserNameOrPassword, "no token")
		}
		return broker.Allow().As(subject)
	})
	b := broker.New(broker.Config{Authenticators: []broker.Authenticator{tokens}})
	defer b.Close()

	fmt.Println(connect(b, "alice.1"))
	fmt.Println(connect(b, "alice.2"))
	fmt.Println(connect(b, "mallory.1"))
	// An administrator gives the identifier to somebody else.
	fmt.Println(b.Release("device-1"))
	fmt.Println(connect(b, "mallory.1"))
	// Output:
	// success (0x00)
	// success (0x00)
	// not authorized (0x87)
	// true
	// success (0x00)
}

// connect asks for the session of device-1 as user, and returns the answer.
func connect(b *broker.Broker, user string) wire.ReasonCode {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	nc, err := b.Dial(ctx)
	if err != nil {
		panic(err)
	}
	hello, err := (&wire.Connect{ClientID: "device-1", Username: &user, SessionExpiryInterval: 3600}).Append(nil, wire.V5)
	if err != nil {
		panic(err)
	}
	if _, err := nc.Write(hello); err != nil {
		panic(err)
	}
	h, body, err := wire.NewReader(nc, wire.V5, 0).ReadPacket()
	if err != nil {
		panic(err)
	}
	d := wire.Decoder{Version: wire.V5, From: wire.FromServer}
	p, err := d.Decode(h, body)
	if err != nil {
		panic(err)
	}
	return p.(*wire.Connack).ReasonCode
}

// Rights that a program looks up elsewhere, and that somebody has changed.
func ExampleBroker_Reauthorize() {
	readers := map[string]bool{"alice": true}
	rules := broker.AuthorizerFunc(func(_ context.Context, a *broker.Access) broker.Decision {
		if a.Action == broker.SubscribeAction && !readers[a.Peer.Username] {
			return broker.Deny(wire.NotAuthorized, "not a reader")
		}
		return broker.Allow()
	})
	b := broker.New(broker.Config{
		Authenticators: []broker.Authenticator{broker.AllowAll{}},
		Authorizers:    []broker.Authorizer{rules},
	})
	defer b.Close()

	readers = nil   // with a lock or an atomic.Pointer if there are clients
	b.Reauthorize() // from now on alice gets nothing of what her filters match
	fmt.Println("done")
	// Output: done
}
