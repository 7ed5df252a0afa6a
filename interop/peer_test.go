package interop

import (
	"context"
	"testing"
	"time"
)

// patience is how long one step may take.
const patience = 20 * time.Second

// message is an application message as every client knows it.
type message struct {
	Topic   string `json:"topic"`
	Payload string `json:"payload"`
	QoS     byte   `json:"qos"`
	Retain  bool   `json:"retain"`
}

// options are those of one connection.
type options struct {
	Host    string   `json:"host"`
	Port    int      `json:"port"`
	ID      string   `json:"id"`
	Version byte     `json:"version"` // protocol level
	Clean   bool     `json:"clean"`
	Expiry  uint32   `json:"expiry"` // seconds (5.0)
	Will    *message `json:"will,omitempty"`
}

// peer is a client. Received messages go to the function it was made with.
type peer interface {
	// connect returns whether the server had a session.
	connect(ctx context.Context, o options) (present bool, err error)
	// subscribe returns the QoS that was granted.
	subscribe(ctx context.Context, filter string, qos byte) (granted byte, err error)
	// publish returns when the message is acknowledged, if its QoS asks for that.
	publish(ctx context.Context, m message) error
	// disconnect ends the connection with DISCONNECT.
	disconnect(ctx context.Context) error
	// kill ends the connection without.
	kill() error
}

// kind is a client library.
type kind struct {
	name     string
	versions []byte
	open     func(t *testing.T, received func(message)) peer
}

var kinds = []kind{
	{name: "paho.mqtt.golang", versions: []byte{3, 4}, open: openPahoMQTT},
	{name: "paho.golang", versions: []byte{5}, open: openPaho},
	{name: "gomqtt", versions: []byte{4}, open: openGomqtt},
	// It has a level 3, but writes the protocol name of 3.1.1 with it.
	{name: "at-wat", versions: []byte{4}, open: openAtWat},
	{name: "paho.mqtt.python", versions: []byte{3, 4, 5}, open: openPython},
	{name: "mqtt.js", versions: []byte{3, 4, 5}, open: openJS},
}
