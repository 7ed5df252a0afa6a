package guides_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// <readme>
func run(ctx context.Context, server string) error { // such as mqtt://localhost:1883
	client, err := mqtt.Connect(ctx, server, mqtt.Config{ClientID: "thermometer-7"})
	if err != nil {
		return err
	}
	defer client.Close() // sends DISCONNECT

	// Subscribe returns after SUBACK, Publish after PUBCOMP.
	sub, err := client.Subscribe(ctx, "sensors/+/temp", mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	err = client.Publish(ctx, "sensors/7/temp", []byte("21.5"), mqtt.ExactlyOnce)
	if err != nil {
		return err
	}
	for msg := range sub.Stream(ctx) { // goes on over reconnects, until ctx ends
		fmt.Printf("%s: %s\n", msg.Topic, msg.Payload)
	}
	return sub.Err() // why the Subscription ended; nil if ctx has ended the loop
}

// </readme>

func TestReadme(t *testing.T) {
	b := newBroker(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, b.URL()) }()
	b.Want(mqtttest.Match{Type: wire.TypePubcomp})
	b.Want(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Up}) // the loop has taken the message
	stop()
	require.NoError(t, <-ended)
	b.WantNoLeak()
}
