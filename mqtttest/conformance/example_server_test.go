package conformance_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// Which statements about the order of messages does a server keep?
func ExampleServerRun() {
	ctx := context.Background()
	b := broker.New(broker.Config{})
	defer b.Close()

	results, err := conformance.ServerRun{
		Dial: func(ctx context.Context) (net.Conn, error) { return b.Dial(ctx) },
		Only: func(s *conformance.Statement) bool { return s.Name == "order of messages" },
	}.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(conformance.ShowNumbers(r.Statement.Numbers(r.Version)), r)
	}
	// Output:
	// [MQTT-4.6.0-5], [MQTT-4.6.0-6] order of messages 3.1.1: passes
	// [MQTT-4.6.0-5], [MQTT-4.6.0-6] order of messages 5.0: passes
}
