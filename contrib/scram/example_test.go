package scram_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/contrib/scram"
)

func ExampleSHA256() {
	a, err := scram.SHA256("worker", "secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	cfg := mqtt.Config{ClientID: "worker-7", Authenticator: a}
	client, err := mqtt.Connect(ctx, "mqtt://127.0.0.1:1", cfg) // where nobody listens
	if err == nil {
		defer client.Close()
	}
	fmt.Println(a, err != nil)
	// Output: SCRAM-SHA-256 for "worker" true
}

func ExampleSHA512() {
	a, err := scram.SHA512("worker", "secret")
	fmt.Println(a, err)
	// Output: SCRAM-SHA-512 for "worker" <nil>
}
