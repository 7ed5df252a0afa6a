package session_test

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// serverSays gives a packet of the server to the engine.
func serverSays(c *session.Client, p wire.Packet) {
	b, err := p.Append(nil, wire.V5)
	if err != nil {
		panic(err)
	}
	h, n, err := wire.ParseHeader(b, wire.V5)
	if err != nil {
		panic(err)
	}
	if err := c.Handle(h, b[n:], time.Now()); err != nil {
		panic(err)
	}
}

func connectedWith(method string) *session.Client {
	c := session.NewClient(session.ClientSettings{
		Reauthentication: func(step session.AuthStep, err error) {
			fmt.Printf("again: %s, final %t\n", step.Data, step.Final)
		},
	})
	p := &wire.Connect{ClientID: "c1", CleanStart: true, AuthenticationMethod: method}
	if err := c.Connect(wire.V5, p, time.Now()); err != nil {
		panic(err)
	}
	return c
}

func ExampleClient_Authenticate() {
	c := connectedWith("M")
	serverSays(c, &wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "M", AuthenticationData: []byte("who?")})
	step, _ := c.AuthStep()
	fmt.Printf("%s, final %t\n", step.Data, step.Final)
	if err := c.Authenticate([]byte("me"), time.Now()); err != nil {
		panic(err)
	}
	serverSays(c, &wire.Connack{AuthenticationMethod: "M", AuthenticationData: []byte("welcome")})
	step, _ = c.AuthStep()
	fmt.Printf("%s, final %t, connected %t\n", step.Data, step.Final, c.Connected())
	if err := c.Authenticate(nil, time.Now()); err != nil { // this is the right server
		panic(err)
	}
	fmt.Println("connected", c.Connected())
	// Output:
	// who?, final false
	// welcome, final true, connected false
	// connected true
}

func ExampleClient_Reauthenticate() {
	c := connectedWith("M")
	serverSays(c, &wire.Connack{AuthenticationMethod: "M"})
	if err := c.Authenticate(nil, time.Now()); err != nil {
		panic(err)
	}
	if err := c.Reauthenticate([]byte("still me")); err != nil {
		panic(err)
	}
	serverSays(c, &wire.Auth{AuthenticationMethod: "M", AuthenticationData: []byte("welcome")})
	// Output: again: welcome, final true
}

func ExampleClient_Check() {
	c := connectedWith("")
	serverSays(c, &wire.Connack{WildcardSubscriptionAvailable: new(false)})
	p := &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: "a/#"}}}
	fmt.Println(c.Check(&session.Request{Subscribe: p}))
	// Output: server does not support wildcard subscriptions
}

func ExampleLimits_SplitSubscribe() {
	l := session.NoLimits()
	p := &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: "a"}, {Filter: "b"}, {Filter: "c"}}}
	for _, part := range l.SplitSubscribe(p, wire.V5, 2) {
		fmt.Println(len(part.Filters))
	}
	// Output:
	// 2
	// 1
}

func ExampleLimits_SplitUnsubscribe() {
	l := session.NoLimits()
	for _, part := range l.SplitUnsubscribe(&wire.Unsubscribe{Filters: []string{"a", "b", "c"}}, wire.V5, 2) {
		fmt.Println(part.Filters)
	}
	// Output:
	// [a b]
	// [c]
}

func ExampleLink_UseAliases() {
	var link session.Link
	link.Open(wire.V5, session.NoLimits())
	link.UseAliases(10) // as many as the peer allows
	sender := session.NewSender(&link, 0)
	for range 3 {
		sender.Submit(&session.Outgoing{Publish: wire.Publish{Topic: "plant/1/temperature"}}, time.Time{})
		fmt.Println(len(link.Take(nil)), link.Aliases("plant/1/temperature"))
	}
	// Output:
	// 24 true
	// 27 true
	// 8 true
}
