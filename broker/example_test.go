package broker_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// A broker on a port of the system's choice, with a user and a rule.
func Example() {
	b := broker.New(broker.Config{
		Authenticators: []broker.Authenticator{
			broker.AuthenticatorFunc(func(_ context.Context, l *broker.Login) broker.Decision {
				if l.Username != "alice" || string(l.Password) != "wonderland" {
					return broker.Deny(wire.BadUserNameOrPassword, "")
				}
				return broker.Allow()
			}),
		},
		Authorizers: []broker.Authorizer{
			broker.AuthorizerFunc(func(_ context.Context, a *broker.Access) broker.Decision {
				if a.Topic == "door/open" && a.Peer.Username != "alice" {
					return broker.Deny(wire.NotAuthorized, "only Alice opens the door")
				}
				return broker.Allow()
			}),
		},
	})
	defer b.Close()
	addr, err := b.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(addr.Network())
	// Output: tcp
}

// A listener can be stopped and started again like a server that restarts:
// sessions are kept.
func ExampleBroker_Serve() {
	b := broker.New(broker.Config{})
	defer b.Close()
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- b.Serve(ctx, ln) }()
		// Clients come, and are sent away with Server shutting down:
		stop()
		fmt.Println(<-done)
	}
	// Output:
	// <nil>
	// <nil>
}

// A connection inside the process needs no listener. Here it is used bare; a
// client takes Dial as its custom dialer.
func ExampleBroker_Dial() {
	b := broker.New(broker.Config{})
	defer b.Close()
	conn, err := b.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	hello, err := (&wire.Connect{ClientID: "me", CleanStart: true}).Append(nil, wire.V311)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := conn.Write(hello); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := conn.Read(answer); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("% x\n", answer)
	// Output: 20 02 00 00
}
