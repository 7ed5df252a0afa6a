package session_test

import (
	"fmt"
	"log"
	"net"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// The engine does no I/O: the caller writes what Take returns and hands every
// packet that it reads to Handle. Any byte stream will do.
func ExampleClient() {
	ours, theirs := net.Pipe()
	go serve(theirs)

	c := session.NewClient(session.ClientSettings{})
	reader := wire.NewReader(ours, wire.V5, 0)
	write := func() {
		if c.Pending() == 0 {
			return
		}
		if _, err := ours.Write(c.Take(nil, time.Now())); err != nil {
			log.Fatal(err)
		}
		c.Wrote(time.Now())
	}
	read := func() {
		h, body, err := reader.ReadPacket()
		if err != nil {
			log.Fatal(err)
		}
		if err := c.Handle(h, body, time.Now()); err != nil {
			log.Fatal(err)
		}
	}

	if err := c.Connect(wire.V5, &wire.Connect{ClientID: "example", CleanStart: true}, time.Now()); err != nil {
		log.Fatal(err)
	}
	write()
	read() // CONNACK
	fmt.Println("connected:", c.Connected())

	c.Sender.Submit(&session.Outgoing{
		Publish: wire.Publish{Topic: "greetings", Payload: []byte("hello"), QoS: wire.AtLeastOnce},
	}, time.Now())
	write()
	read() // PUBACK
	for _, o := range c.Sender.Completed(nil) {
		fmt.Printf("published %q, error %v\n", o.Publish.Payload, o.Result().Err)
	}

	read() // PUBLISH
	for _, m := range c.Received() {
		fmt.Printf("received %q on %q\n", m.Publish.Payload, m.Publish.Topic)
		if err := c.Receiver.Ack(m.Token, wire.Success); err != nil {
			log.Fatal(err)
		}
	}
	c.Recycle()
	write() // PUBACK

	if err := c.Disconnect(new(wire.Disconnect)); err != nil {
		log.Fatal(err)
	}
	write()
	c.Lost(false)

	// Output:
	// connected: true
	// published "hello", error <nil>
	// received "hello there" on "greetings"
}

// serve is the smallest server that keeps the example company: it accepts every
// client and answers a message with another.
func serve(conn net.Conn) {
	reader := wire.NewReader(conn, wire.V5, 0)
	decoder := wire.Decoder{Version: wire.V5, From: wire.FromClient}
	for {
		h, body, err := reader.ReadPacket()
		if err != nil {
			return
		}
		packet, err := decoder.Decode(h, body)
		if err != nil {
			return
		}
		var answers []wire.Packet
		switch p := packet.(type) {
		case *wire.Connect:
			answers = append(answers, new(wire.Connack))
		case *wire.Publish:
			answers = append(answers, &wire.Puback{PacketID: p.PacketID},
				&wire.Publish{Topic: p.Topic, Payload: fmt.Appendf(nil, "%s there", p.Payload), QoS: wire.AtLeastOnce, PacketID: 1})
		case *wire.Disconnect:
			return
		}
		for _, answer := range answers {
			b, err := answer.Append(nil, wire.V5)
			if err != nil {
				return
			}
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}
}
