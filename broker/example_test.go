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
		Authenticate: func(_ context.Context, l *broker.Login) wire.ReasonCode {
			if l.Username != "alice" || string(l.Password) != "wonderland" {
				return wire.BadUserNameOrPassword
			}
			return wire.Success
		},
		AuthorizePublish: func(p *broker.Peer, m *wire.Publish) wire.ReasonCode {
			if m.Topic == "door/open" && p.Username != "alice" {
				return wire.NotAuthorized
			}
			return wire.Success
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
