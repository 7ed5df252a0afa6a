package main

import (
	"slices"
	"sync/atomic"
	"time"

	gomqtt "github.com/256dpi/gomqtt/client"
	"github.com/256dpi/gomqtt/packet"
	gomqttnet "github.com/256dpi/gomqtt/transport"
)

const gomqttPatience = time.Minute

// gomqttClient is github.com/256dpi/gomqtt. It has one callback for all
// messages, so with many filters it leaves routing to its user.
type gomqttClient struct {
	*gomqtt.Client
	job   *job
	ring  ring[gomqtt.GenericFuture]
	tally atomic.Pointer[tally]
}

// openGomqtt takes a change of the defaults. One matters: the maximum write
// delay of 10 ms also holds up acknowledgements and publishes that somebody
// waits for.
func openGomqtt(change func(*gomqtt.Config)) func(*job) (client, error) {
	return func(j *job) (client, error) {
		c := &gomqttClient{Client: gomqtt.New(), job: j}
		c.ring.wait = func(f gomqtt.GenericFuture) error { return f.Wait(gomqttPatience) }
		c.Callback = func(m *packet.Message, err error) error {
			if err == nil {
				c.tally.Load().message(m.Payload)
			}
			return err
		}
		cfg := gomqtt.NewConfigWithClientID(j.url(), j.clientID)
		change(cfg)
		secure, err := j.tlsConfig()
		if err != nil {
			return nil, err
		}
		cfg.Dialer = gomqttnet.NewDialer(gomqttnet.DialConfig{TLSConfig: secure}) // the default one otherwise
		f, err := c.Connect(cfg)
		if err != nil {
			return nil, err
		}
		return c, f.Wait(gomqttPatience)
	}
}

func (c *gomqttClient) publish(qos byte) error {
	f, err := c.Publish(topic, c.job.payload, packet.QOS(qos), false)
	if err != nil || qos == 0 {
		return err
	}
	return f.Wait(gomqttPatience)
}

func (c *gomqttClient) publishAsync(qos byte) error {
	if err := c.ring.make(); err != nil {
		return err
	}
	f, err := c.Publish(topic, c.job.payload, packet.QOS(qos), false)
	if err != nil {
		return err
	}
	c.ring.push(f)
	return nil
}

func (c *gomqttClient) submit(slot int) error {
	f, err := c.Publish(topic, c.job.payload, packet.QOS(c.job.qos), false)
	if err == nil {
		c.ring.put(slot, f)
	}
	return err
}

func (c *gomqttClient) await(slot int) error { return c.ring.await(slot) }

func (c *gomqttClient) flush() (uint64, error) { return c.ring.flush() }

func (c *gomqttClient) subscribe(filters []string, qos byte, t *tally) error {
	c.tally.Store(t)
	// In packets of 100: each waits for the write delay.
	for some := range slices.Chunk(filters, 100) {
		var subs []packet.Subscription
		for _, f := range some {
			subs = append(subs, packet.Subscription{Topic: f, QOS: packet.QOS(qos)})
		}
		subscribed, err := c.SubscribeMultiple(subs)
		if err != nil {
			return err
		}
		if err := subscribed.Wait(gomqttPatience); err != nil {
			return err
		}
	}
	return nil
}

// openReturningGomqtt is the layer that reconnects and subscribes again.
func openReturningGomqtt(j *job) (client, error) {
	s := gomqtt.NewService()
	s.MessageCallback = func(*packet.Message) error { return nil }
	s.Start(gomqtt.NewConfigWithClientID(j.url(), j.clientID))
	return nil, s.Subscribe(topic, 0).Wait(gomqttPatience)
}
