package protopayload_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/protopayload"
)

// <codec>
var timeouts protopayload.Codec[*durationpb.Duration] // usually a type of your own

func handle(ctx context.Context, m *mqtt.Message) error {
	v, err := timeouts.Decode(m)
	if err != nil {
		return &mqtt.Refusal{ReasonCode: mqtt.PayloadFormatInvalid, ReasonString: err.Error()}
	}
	fmt.Println(v.AsDuration(), "as", m.ContentType)
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
	sub, err := client.Subscribe(ctx, "timeouts", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	m := &mqtt.Message{Topic: "timeouts", QoS: mqtt.AtLeastOnce}
	if err := timeouts.Encode(m, durationpb.New(90*time.Second)); err != nil {
		log.Fatal(err)
	}
	if err := client.PublishMessage(ctx, m); err != nil {
		log.Fatal(err)
	}
	go sub.Drain(ctx) // an ordinary program: goes on
	sub.Handle(ctx, handle)
	// Output: 1m30s as application/protobuf
}
