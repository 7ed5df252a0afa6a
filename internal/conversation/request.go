package conversation

import (
	"context"
	"testing"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// Requesting is a Request that is under way.
type Requesting struct {
	Response *mqtt.Message // set when the call is over
	*Call
}

// BeginRequest begins a Request.
func BeginRequest(ctx context.Context, c *mqtt.Client, m *mqtt.Message) *Requesting {
	r := new(Requesting)
	r.Call = Begin(func() (err error) {
		r.Response, err = c.Request(ctx, m)
		return err
	})
	return r
}

// Question returns a request to the topic t.
func Question(payload string) *mqtt.Message {
	return &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: mqtt.AtLeastOnce}
}

// TakeRequest takes a PUBLISH that asks for a response, and acknowledges it.
func TakeRequest(conn *mqtttest.Conn) *wire.Publish {
	p := mqtttest.Take[*wire.Publish](conn)
	conn.Send(Puback(p.PacketID))
	return p
}

// ResponseTo returns the PUBLISH that answers p.
func ResponseTo(p *wire.Publish, payload string) *wire.Publish {
	return &wire.Publish{Topic: p.Properties.ResponseTopic, Payload: []byte(payload),
		Properties: &wire.PublishProperties{CorrelationData: p.Properties.CorrelationData}}
}

// ResponderFunc is the type of the function for Respond.
type ResponderFunc = func(context.Context, *mqtt.Message) (*mqtt.Message, error)

// Responding is a Respond that is under way. Stop ends its context.
type Responding struct {
	Stop context.CancelFunc
	*Call
}

// Respond begins a Respond on the filter t.
func Respond(t *testing.T, c *mqtt.Client, conn *mqtttest.Conn, concurrency int, f ResponderFunc) *Responding {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &Responding{Stop: stop}
	r.Call = Begin(func() error {
		return c.RespondWith(ctx, mqtt.RespondOptions{
			SubscribeOptions: mqtt.SubscribeOptions{Filters: Filters("t")}, Concurrency: concurrency}, f)
	})
	Grant(conn)
	return r
}
