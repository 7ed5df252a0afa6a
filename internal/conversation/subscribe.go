package conversation

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// Subscribe subscribes to filter. The server grants what the client asks for.
func Subscribe(t *testing.T, c *mqtt.Client, conn *mqtttest.Conn, filter string, qos mqtt.QoS) *mqtt.Subscription {
	t.Helper()
	return SubscribeWith(t, c, conn, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: filter, QoS: qos}}})
}

// SubscribeWith is Subscribe with options.
func SubscribeWith(t *testing.T, c *mqtt.Client, conn *mqtttest.Conn, o mqtt.SubscribeOptions) *mqtt.Subscription {
	t.Helper()
	var sub *mqtt.Subscription
	b := Begin(func() (err error) {
		sub, err = c.SubscribeWith(t.Context(), o)
		return err
	})
	Grant(conn)
	require.NoError(t, b.Wait())
	return sub
}

// Grant takes a SUBSCRIBE and grants what it asks for.
func Grant(conn *mqtttest.Conn) *wire.Subscribe {
	p := mqtttest.Take[*wire.Subscribe](conn)
	conn.Send(Suback(p))
	return p
}

// Suback returns a SUBACK that grants what p asks for.
func Suback(p *wire.Subscribe) *wire.Suback {
	ack := &wire.Suback{PacketID: p.PacketID}
	for _, f := range p.Filters {
		ack.ReasonCodes = append(ack.ReasonCodes, wire.ReasonCode(f.QoS))
	}
	return ack
}

// Next returns the next message, which must be there already.
func Next(t *testing.T, sub *mqtt.Subscription) *mqtt.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	return m
}

// WantMessages takes these messages and checks that there are no others.
func WantMessages(t *testing.T, sub *mqtt.Subscription, payloads ...string) {
	t.Helper()
	for _, want := range payloads {
		require.Equal(t, want, string(Next(t, sub).Payload))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	m, err := sub.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "%v", m)
}

// Renewed takes and grants the SUBSCRIBE that is repeated on every connection of 5.0.
func Renewed(t *testing.T, conn *mqtttest.Conn) {
	t.Helper()
	conn.Send(Suback(mqtttest.Take[*wire.Subscribe](conn)))
}

// WantUnsubscribe takes an UNSUBSCRIBE of filters and answers it.
func WantUnsubscribe(t *testing.T, conn *mqtttest.Conn, filters ...string) {
	t.Helper()
	u := mqtttest.Take[*wire.Unsubscribe](conn)
	require.Equal(t, filters, u.Filters)
	conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: make([]wire.ReasonCode, len(filters))})
}

// Filters returns filters with QoS 2.
func Filters(filters ...string) (list []mqtt.Filter) {
	for _, f := range filters {
		list = append(list, mqtt.Filter{Filter: f, QoS: 2})
	}
	return list
}

// Subscribing is a Subscribe that is under way.
type Subscribing struct {
	Sub *mqtt.Subscription // set when the call is over
	*Call
}

// BeginSubscribe begins a Subscribe, which the test has to answer.
func BeginSubscribe(ctx context.Context, c *mqtt.Client, filters ...mqtt.Filter) *Subscribing {
	s := new(Subscribing)
	s.Call = Begin(func() (err error) {
		s.Sub, err = c.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: filters})
		return err
	})
	return s
}
