package mqtttest_test

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// A test with a scripted server reads as a conversation.
func ExampleServer() {
	t, end := newT() // in a test: its t
	defer end()
	srv := mqtttest.NewServer(t, wire.V5)
	published := make(chan error)
	go func() { // the program under test
		client, err := mqtt.Connect(ctx, srv.URL(), mqtt.Config{ClientID: "c", Reconnect: soon})
		if err == nil {
			err = client.Publish(ctx, "t", []byte("hello"), mqtt.AtLeastOnce)
			client.Close()
		}
		published <- err
	}()

	conn := srv.Accept()
	fmt.Println(conn.WantConnect().ClientID)
	conn.Send(&wire.Connack{})
	conn.Want(&wire.Publish{Topic: "t", Payload: []byte("hello"), QoS: wire.AtLeastOnce, PacketID: 1})
	conn.WantIdle() // nothing more comes
	conn.Close()    // the server vanishes, and has not acknowledged it

	conn = srv.Connected(&wire.Connack{SessionPresent: true})
	again := mqtttest.Take[*wire.Publish](conn)
	fmt.Println(again.PacketID, again.Duplicate)
	conn.SendRaw("40 02 00 01") // PUBACK
	fmt.Println(<-published)
	conn.WantDisconnect(wire.Success)
	// Output:
	// c
	// 1 true
	// <nil>
}

func ExampleConn() {
	t, end := newT() // in a test: its t
	defer end()
	srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V311, Patience: time.Minute, Buffer: 4096})
	done := make(chan bool)
	go func() { // the program under test
		client, _ := mqtt.Connect(ctx, "mqtt://server", mqtt.Config{Version: mqtt.V311, Dial: srv.Dial, Reconnect: soon})
		client.Subscribe(ctx, "t", mqtt.AtMostOnce)
		client.Close()
		close(done)
	}()

	conn := srv.Connected(&wire.Connack{})
	if subscribe, ok := mqtttest.TakeWithin[*wire.Subscribe](conn, time.Minute); ok {
		conn.Offer(&wire.Suback{PacketID: subscribe.PacketID, ReasonCodes: []wire.ReasonCode{0}})
	}
	<-done
	conn.Skip() // whatever has come, up to a pause
	conn.WantClosed()
	srv.Refuse() // connections, until Listen
	srv.WantNone(time.Millisecond)
	srv.Listen()
	fmt.Println("ok")
	// Output: ok
}

func ExampleConn_Read() {
	t, end := newT() // in a test: its t
	defer end()
	srv := mqtttest.NewServer(t, wire.V311)
	go mqtt.Connect(ctx, "mqtt://server", mqtt.Config{ClientID: "c", Version: mqtt.V311, Dial: srv.Dial})
	conn := srv.Accept()
	head := make([]byte, 2)
	n, err := conn.Read(head)
	fmt.Printf("% x %v\n", head[:n], err)
	rest := make([]byte, head[1])
	conn.Read(rest)
	conn.Write([]byte{0x20, 2, 0, 5}) // CONNACK: not authorized
	conn.WantIdleFor(0)
	conn.WantClosed()
	// Output: 10 0d <nil>
}
