package broker_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

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

// The port is the system's choice; other networks are "tls", "unix", "ws" and
// "wss".
func ExampleBroker_Listen() {
	b := broker.New(broker.Config{})
	defer b.Close()
	addr, err := b.Listen(context.Background(), "ws", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(addr.Network())
	_, err = b.Listen(context.Background(), "tcp", ":0")
	fmt.Println(err)
	// Output:
	// tcp
	// mqtt: broker without authenticators serves only its own machine
}

// MQTT over WebSocket beside other things on one HTTP server.
func ExampleBroker_ServeHTTP() {
	b := broker.New(broker.Config{Authenticators: []broker.Authenticator{broker.AllowAll{}}})
	defer b.Close()
	mux := http.NewServeMux()
	mux.Handle("/mqtt", b)
	server := httptest.NewServer(mux)
	defer server.Close()
	answer, err := http.Get(server.URL + "/mqtt")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
	// Output: 400 Bad Request
}

func ExampleBroker_ServeWebSocket() {
	b := broker.New(broker.Config{})
	defer b.Close()
	ctx, stop := context.WithCancel(context.Background())
	stop()
	fmt.Println(b.ServeWebSocket(ctx, broker.NewMemoryListener(0)))
	// Output: <nil>
}

// Dial of the listener goes into the configuration of a client.
func ExampleNewMemoryListener() {
	b := broker.New(broker.Config{})
	defer b.Close()
	ln := broker.NewMemoryListener(0)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Serve(ctx, ln) }()
	conn, err := ln.Dial(ctx, "tcp", "broker:1883")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Println(conn.RemoteAddr())
	stop()
	fmt.Println(<-done)
	// Output:
	// memory
	// <nil>
}

func ExampleBroker_ServeConn() {
	b := broker.New(broker.Config{})
	defer b.Close()
	client, server := net.Pipe()
	client.Close()
	fmt.Println(b.ServeConn(server))
	// Output: <nil>
}

func ExampleBroker_Subscribe() {
	b := broker.New(broker.Config{})
	defer b.Close()
	sub, err := b.Subscribe("sensors/#", 100)
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	if err := b.Publish(&wire.Publish{Topic: "sensors/7/temp", Payload: []byte("21.5")}); err != nil {
		log.Fatal(err)
	}
	m := <-sub.Messages()
	fmt.Printf("%s %s, %d dropped\n", m.Topic, m.Payload, sub.Dropped())
	// Output: sensors/7/temp 21.5, 0 dropped
}

// The program can publish a retained message before anybody is there.
func ExampleBroker_Publish() {
	b := broker.New(broker.Config{})
	defer b.Close()
	fmt.Println(b.Publish(&wire.Publish{Topic: "settings", Payload: []byte("{}"), Retain: true}))
	fmt.Println(b.Publish(&wire.Publish{Topic: "settings/+"}) != nil)
	fmt.Println(b.Stats().Retained)
	// Output:
	// <nil>
	// true
	// 1
}

func ExampleBroker_Clients() {
	b := broker.New(broker.Config{})
	defer b.Close()
	for _, c := range b.Clients() {
		if c.Connected && c.WaitingBytes > 10<<20 {
			b.Disconnect(c.Peer.ClientID, wire.QuotaExceeded)
		}
	}
	fmt.Println(len(b.Clients()), b.Disconnect("nobody", wire.AdministrativeAction))
	// Output: 0 false
}

func ExampleBroker_Stats() {
	b := broker.New(broker.Config{})
	defer b.Close()
	s := b.Stats()
	fmt.Println(s.Connected, s.Dropped)
	// Output: 0 0
}

// What waits for clients is given ten seconds.
func ExampleBroker_Shutdown() {
	b := broker.New(broker.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(b.Shutdown(ctx))
	// Output: <nil>
}

// To a client it looks as if the network had failed.
func ExampleBroker_DropConnections() {
	b := broker.New(broker.Config{})
	defer b.Close()
	conn, err := b.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	b.DropConnections()
	_, err = conn.Read(make([]byte, 1))
	fmt.Println(err)
	// Output: EOF
}
