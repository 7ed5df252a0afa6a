package mqtt_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/seed65a45251/mqtt"
)

func ExampleMux() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	up := func(ctx context.Context, msg *mqtt.Message) error {
		fmt.Printf("device %s: %s\n", mqtt.MuxValues(ctx).Get("id"), msg.Payload)
		return nil
	}
	others := func(ctx context.Context, msg *mqtt.Message) error {
		fmt.Println("not known:", mqtt.MuxValues(ctx).Get("path"))
		cancel() // that is enough
		return nil
	}
	mux, err := mqtt.NewMux(
		mqtt.MuxHandler{Pattern: "devices/{id}/up", QoS: mqtt.AtLeastOnce, Handle: up},
		mqtt.MuxHandler{Pattern: "devices/{path...}", QoS: mqtt.AtLeastOnce, Handle: others},
	)
	if err != nil {
		log.Fatal(err)
	}
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: mux.Filters()})
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "devices/7/up", []byte("21.5"), mqtt.AtLeastOnce)
	client.Publish(ctx, "devices/7/door/open", nil, mqtt.AtLeastOnce)
	fmt.Println(sub.Handle(ctx, mux.Handle))
	// Output:
	// device 7: 21.5
	// not known: 7/door/open
	// mqtt: handle "devices/#": context canceled
}

func ExampleNewMux() {
	handle := func(context.Context, *mqtt.Message) error { return nil }
	mux, err := mqtt.NewMux(
		mqtt.MuxHandler{Pattern: "devices/#", Handle: handle},
		mqtt.MuxHandler{Pattern: "devices/{id}/up", QoS: mqtt.AtLeastOnce, Handle: handle},
		mqtt.MuxHandler{Pattern: "jobs/{id}", Prefix: "$share/workers/", Handle: handle},
	)
	fmt.Println(mux.Filters()[0].Filter, mux.Filters()[0].QoS, err)
	fmt.Println(mux.Filters()[1].Filter)

	_, err = mqtt.NewMux(
		mqtt.MuxHandler{Pattern: "devices/7/{kind}", Handle: handle},
		mqtt.MuxHandler{Pattern: "devices/{id}/up", Handle: handle},
	)
	fmt.Println(err)
	// Output:
	// devices/# 1 <nil>
	// $share/workers/jobs/+
	// mqtt: mux: patterns "devices/7/{kind}" and "devices/{id}/up" overlap, and neither covers the other
}

func ExampleMuxValues() {
	mux, err := mqtt.NewMux(mqtt.MuxHandler{
		Pattern: "sites/{site}/{path...}",
		Handle: func(ctx context.Context, msg *mqtt.Message) error {
			values := mqtt.MuxValues(ctx)
			fmt.Println(values.Get("site"), values.Get("path"))
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle(context.Background(), &mqtt.Message{Topic: "sites/north/pump/3"})
	// Output: north pump/3
}

func ExampleMux_Filters() {
	handle := func(context.Context, *mqtt.Message) error { return nil }
	mux, err := mqtt.NewMux(
		mqtt.MuxHandler{Pattern: "devices/{id}/up", QoS: mqtt.AtLeastOnce, Handle: handle},
		mqtt.MuxHandler{Pattern: "devices/{id}/state", Handle: handle},
	)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range mux.Filters() { // for SubscribeOptions.Filters
		fmt.Println(f.Filter, f.QoS)
	}
	// Output:
	// devices/+/up 1
	// devices/+/state 0
}

func ExampleMux_Handle() {
	mux, err := mqtt.NewMux(mqtt.MuxHandler{
		Pattern: "devices/{id}/up",
		Handle: func(ctx context.Context, msg *mqtt.Message) error {
			fmt.Println("device", mqtt.MuxValues(ctx).Get("id"))
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	// Client.Handle and Subscription.Handle call it; a test may, too.
	mux.Handle(context.Background(), &mqtt.Message{Topic: "devices/7/up"})
	// Output: device 7
}
