package eventpayload_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/eventpayload"
)

// <codec>
var events eventpayload.Codec // Binary: true, where every connection is 5.0

func send(ctx context.Context, client *mqtt.Client, value float64) error {
	e := event.New()
	e.SetID("1")
	e.SetSource("/sensors/7")
	e.SetType("com.example.reading")
	if err := e.SetData(event.ApplicationJSON, map[string]float64{"celsius": value}); err != nil {
		return err
	}
	m := &mqtt.Message{Topic: "events", QoS: mqtt.AtLeastOnce}
	if err := events.Encode(m, e); err != nil {
		return err
	}
	return client.PublishMessage(ctx, m)
}

func handle(ctx context.Context, m *mqtt.Message) error {
	e, err := events.Decode(m) // either mode
	if err != nil {
		return &mqtt.Refusal{ReasonCode: mqtt.PayloadFormatInvalid, ReasonString: err.Error()}
	}
	fmt.Printf("%s from %s: %s\n", e.Type(), e.Source(), e.Data())
	return nil
}

// </codec>

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b := broker.New(broker.Config{})
	defer b.Close()
	client, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{ // an ordinary program: without Dial
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sub, err := client.Subscribe(ctx, "events", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	if err := send(ctx, client, 21.5); err != nil {
		log.Fatal(err)
	}
	go sub.Drain(ctx) // an ordinary program: goes on
	sub.Handle(ctx, handle)
	// Output: com.example.reading from /sensors/7: {"celsius":21.5}
}
