package mqtt_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// What follows is package conversation once more, for the files that do not import
// it yet: those about servers, addresses and the way to them.

// quiet is a configuration in which the client sends nothing on its own.
func quiet(srv *mqtttest.Server) mqtt.Config {
	return mqtt.Config{ClientID: "c1", Version: srv.Version, KeepAlive: -1, Dial: srv.Dial}
}

// open connects a client whose first connection is up.
func open(t *testing.T, srv *mqtttest.Server, cfg mqtt.Config) (*mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	return openWith(t, srv, cfg, &wire.Connack{})
}

func openWith(t *testing.T, srv *mqtttest.Server, cfg mqtt.Config, ack *wire.Connack) (*mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	c := dial(t, cfg)
	conn := srv.Connected(ack)
	return c.client(t), conn
}

// dialing is a Connect under way.
type dialing struct {
	result *mqtt.Client
	call   *call
}

// dial begins Connect with a client that ends with the test.
func dial(t *testing.T, cfg mqtt.Config) *dialing {
	t.Helper()
	d := new(dialing)
	d.call = begin(func() (err error) {
		d.result, err = mqtt.Connect(t.Context(), "mqtt://server", cfg)
		return err
	})
	return d
}

func (d *dialing) client(t *testing.T) *mqtt.Client {
	t.Helper()
	require.NoError(t, d.call.wait())
	t.Cleanup(func() { d.result.Close() })
	return d.result
}

// call is a function that runs beside the conversation.
type call struct {
	done chan struct{}
	err  error
}

func begin(f func() error) *call {
	c := &call{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = f()
	}()
	return c
}

func (c *call) wait() error {
	<-c.done
	return c.err
}

// over reports whether the call has returned when everything else waits.
func (c *call) over() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func publish(t *testing.T, c *mqtt.Client, payload string, qos mqtt.QoS) *call {
	return begin(func() error { return c.Publish(t.Context(), "t", []byte(payload), qos) })
}

func publishAsync(t *testing.T, c *mqtt.Client, payload string, qos mqtt.QoS) *mqtt.Delivery {
	t.Helper()
	d, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: qos})
	require.NoError(t, err)
	return d
}

// settled reports whether d is done when everything else waits.
func settled(d *mqtt.Delivery) bool {
	synctest.Wait()
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}

// subscribe subscribes to filter; the server grants what is asked for.
func subscribe(t *testing.T, c *mqtt.Client, conn *mqtttest.Conn, filter string, qos mqtt.QoS) *mqtt.Subscription {
	t.Helper()
	return subscribeWith(t, c, conn, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: filter, QoS: qos}}})
}

func subscribeWith(t *testing.T, c *mqtt.Client, conn *mqtttest.Conn, o mqtt.SubscribeOptions) *mqtt.Subscription {
	t.Helper()
	var sub *mqtt.Subscription
	b := begin(func() (err error) {
		sub, err = c.SubscribeWith(t.Context(), o)
		return err
	})
	grant(conn)
	require.NoError(t, b.wait())
	return sub
}

// grant takes a SUBSCRIBE and grants what it asks for.
func grant(conn *mqtttest.Conn) *wire.Subscribe {
	p := mqtttest.Take[*wire.Subscribe](conn)
	conn.Send(suback(p))
	return p
}

func suback(p *wire.Subscribe) *wire.Suback {
	ack := &wire.Suback{PacketID: p.PacketID}
	for _, f := range p.Filters {
		ack.ReasonCodes = append(ack.ReasonCodes, wire.ReasonCode(f.QoS))
	}
	return ack
}

// next takes the next message, which has to be there.
func next(t *testing.T, sub *mqtt.Subscription) *mqtt.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	return m
}

// wantMessages takes these messages and sees that there is no other.
func wantMessages(t *testing.T, sub *mqtt.Subscription, payloads ...string) {
	t.Helper()
	for _, want := range payloads {
		require.Equal(t, want, string(next(t, sub).Payload))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	m, err := sub.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "%v", m)
}

// pub is a PUBLISH with topic t.
func pub(id uint16, qos wire.QoS, payload string) *wire.Publish {
	return &wire.Publish{Topic: "t", Payload: []byte(payload), PacketID: id, QoS: qos}
}

// ids sets the subscription identifiers of p.
func ids(p *wire.Publish, ids ...uint32) *wire.Publish {
	p.Properties = &wire.PublishProperties{SubscriptionIDs: ids}
	return p
}

func puback(id uint16) *wire.Puback { return &wire.Puback{PacketID: id} }

// resumed is the CONNACK of a server that still has the session.
func resumed() *wire.Connack { return &wire.Connack{SessionPresent: true} }

// each runs f in a bubble of its own for every version.
func each(t *testing.T, f func(t *testing.T, v wire.Version)) {
	for _, v := range []wire.Version{wire.V31, wire.V311, wire.V5} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, v) })
		})
	}
}
