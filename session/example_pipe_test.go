package session_test

import (
	"fmt"
	"log"
	"net"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Both ends of MQTT over a byte stream, here net.Pipe: the engines decide, the
// caller reads and writes.
func Example() {
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		serveMessages(theirs)
	}()

	c := session.NewClient(session.ClientSettings{})
	reader := wire.NewReader(ours, wire.V5, 0)
	write := func() {
		if _, err := ours.Write(c.Take(nil, time.Now())); err != nil {
			log.Fatal(err)
		}
		c.Wrote(time.Now())
	}
	read := func() {
		if err := reader.Fill(); err != nil {
			log.Fatal(err)
		}
		if err := c.HandleBuffered(reader, time.Now()); err != nil {
			log.Fatal(err)
		}
		for _, r := range c.Answered(nil) {
			fmt.Println("client: answered with", r.ReasonCodes)
		}
		for _, o := range c.Sender.Completed(nil) {
			fmt.Printf("client: %q is acknowledged\n", o.Publish.Payload)
		}
		for _, m := range c.Received() {
			fmt.Printf("client: got %q\n", m.Publish.Payload)
			if err := c.Receiver.Ack(m.Token, wire.Success); err != nil {
				log.Fatal(err)
			}
		}
		c.Recycle()
	}
	request := func(r *session.Request) {
		if err := c.Request(r); err != nil {
			log.Fatal(err)
		}
		write()
		read()
	}

	if err := c.Connect(wire.V5, &wire.Connect{ClientID: "example", CleanStart: true}, time.Now()); err != nil {
		log.Fatal(err)
	}
	write()
	read()
	request(&session.Request{Subscribe: &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: "rooms/+", QoS: 1}}}})
	c.Sender.Submit(&session.Outgoing{
		Publish: wire.Publish{Topic: "rooms/kitchen", Payload: []byte("warm"), QoS: wire.AtLeastOnce},
	}, time.Now())
	write()
	read()
	write() // the acknowledgement of what came
	request(&session.Request{Unsubscribe: &wire.Unsubscribe{Filters: []string{"rooms/+"}}})
	if err := c.Disconnect(&wire.Disconnect{}); err != nil {
		log.Fatal(err)
	}
	write()
	<-served
	c.Lost(false)

	// Output:
	// server: "example" connects
	// client: answered with [granted QoS 1 (0x01)]
	// client: "warm" is acknowledged
	// client: got "warm"
	// server: "warm" is acknowledged
	// client: answered with [success (0x00)]
	// server: "example" takes leave
}

// serveMessages is a server with one client, who gets back what it publishes as
// far as its subscriptions match.
func serveMessages(conn net.Conn) {
	defer conn.Close()
	s := session.NewServer(session.ServerSettings{})
	subscriptions := map[string]wire.QoS{}
	reader := wire.NewReader(conn, 0, 1<<20)
	s.Open(time.Now())
	for first := true; first || s.Connected(); first = false {
		// Keep-alive, and the time that a client may take to connect.
		if err := conn.SetReadDeadline(s.Deadline()); err != nil {
			log.Fatal(err)
		}
		err := reader.Fill()
		if err == nil {
			err = s.HandleBuffered(reader, time.Now())
		}
		if err != nil {
			if silent := s.Tick(time.Now()); silent == nil {
				s.Fail(err)
			}
		}
		for _, event := range s.Events() {
			if err := serveEvent(s, event, subscriptions); err != nil {
				log.Fatal(err)
			}
		}
		s.Recycle()
		for _, o := range s.Sender.Completed(nil) {
			fmt.Printf("server: %q is acknowledged\n", o.Publish.Payload)
		}
		if s.Pending() == 0 {
			continue
		}
		if _, err := conn.Write(s.Take(nil, time.Now())); err != nil {
			break
		}
	}
	if will := s.Lost(); will != nil {
		fmt.Println("server: its will is", will.Topic)
	}
}

func serveEvent(s *session.Server, event session.Event, subscriptions map[string]wire.QoS) error {
	switch p := event.Packet.(type) {
	case *wire.Connect:
		fmt.Printf("server: %q connects\n", p.ClientID)
		return s.Accept(&wire.Connack{ReceiveMaximum: 100}, time.Now())
	case *wire.Subscribe:
		ack := &wire.Suback{PacketID: p.PacketID}
		for _, f := range p.Filters {
			subscriptions[f.Filter] = f.QoS
			ack.ReasonCodes = append(ack.ReasonCodes, wire.ReasonCode(f.QoS))
		}
		return s.Suback(ack)
	case *wire.Unsubscribe:
		ack := &wire.Unsuback{PacketID: p.PacketID}
		for _, filter := range p.Filters {
			delete(subscriptions, filter)
			ack.ReasonCodes = append(ack.ReasonCodes, wire.Success)
		}
		return s.Unsuback(ack)
	case *wire.Publish:
		for filter, qos := range subscriptions {
			if match.Match(filter, p.Topic) {
				// The message outlives the bytes that it came with.
				payload := append([]byte(nil), p.Payload...)
				s.Publish(&session.Outgoing{
					Publish: wire.Publish{Topic: p.Topic, Payload: payload, QoS: min(qos, p.QoS)},
				}, time.Now())
			}
		}
		return s.Receiver.Ack(event.Token, wire.Success)
	case *wire.Disconnect:
		fmt.Printf("server: %q takes leave\n", s.Connect().ClientID)
	}
	return nil
}
