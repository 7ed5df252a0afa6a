package session_test

import (
	"bytes"
	"fmt"
	"log"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// A server decides about CONNECT. Bytes go in and come out; where from and where
// to does not matter.
func ExampleServer() {
	s := session.NewServer(session.ServerSettings{})
	s.Open(time.Now())
	in, err := (&wire.Connect{ClientID: "c1", CleanStart: true, Username: new("eve"), Password: []byte("guess")}).Append(nil, wire.V5)
	if err != nil {
		log.Fatal(err)
	}
	reader := wire.NewReader(bytes.NewReader(in), 0, 1<<20)
	if err := reader.Fill(); err != nil {
		log.Fatal(err)
	}
	if err := s.HandleBuffered(reader, time.Now()); err != nil {
		log.Fatal(err)
	}
	for _, event := range s.Events() {
		p, ok := event.Packet.(*wire.Connect)
		if ok && string(p.Password) != "secret" {
			err = s.Refuse(&wire.Connack{ReasonCode: wire.BadUserNameOrPassword})
		}
	}
	fmt.Printf("% x %v\n", s.Take(nil, time.Now()), err)
	// Output: 20 03 00 86 00 <nil>
}

// A client that connects again while its old connection is still there takes the
// session over. The old connection is told before.
func ExampleServer_Adopt() {
	begin := func() *session.Server {
		s := session.NewServer(session.ServerSettings{})
		s.Open(time.Now())
		in, err := (&wire.Connect{ClientID: "c1", SessionExpiryInterval: 60}).Append(nil, wire.V5)
		if err != nil {
			log.Fatal(err)
		}
		h, n, err := wire.ParseHeader(in, 0)
		if err != nil {
			log.Fatal(err)
		}
		if err := s.Handle(h, in[n:], time.Now()); err != nil {
			log.Fatal(err)
		}
		return s
	}

	first := begin()
	if err := first.Accept(&wire.Connack{}, time.Now()); err != nil {
		log.Fatal(err)
	}
	first.Publish(&session.Outgoing{Publish: wire.Publish{Topic: "t", QoS: wire.AtLeastOnce}}, time.Now())

	second := begin() // with the same client identifier
	if err := second.CheckAccept(&wire.Connack{}); err != nil {
		log.Fatal(err) // refused; the first goes on
	}
	if err := first.Disconnect(&wire.Disconnect{ReasonCode: wire.SessionTakenOver}); err != nil {
		log.Fatal(err)
	}
	farewell := first.Take(nil, time.Now())
	second.Adopt(first)
	if err := second.Accept(&wire.Connack{}, time.Now()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("session present:", second.Connack().SessionPresent)
	fmt.Println("open messages:", second.Sender.Inflight())
	fmt.Printf("farewell ends with % x\n", farewell[len(farewell)-3:])
	// Output:
	// session present: true
	// open messages: 1
	// farewell ends with e0 01 8e
}
