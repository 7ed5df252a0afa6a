package main

import (
	"context"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// consumption is how our client takes messages.
type consumption uint8

const (
	byMessages consumption = iota
	byNext
	byAll
)

type ourClient struct {
	*mqtt.Client
	job     *job
	message mqtt.Message
	ring    ring[*mqtt.Delivery] // of deliveries that somebody waits for
	consume consumption
	shared  bool // all filters in one Subscription
	fresh   bool // a new Message for each asynchronous publish
	// unsynced says that the Store does not wait for the disk.
	unsynced bool
	syncs    *syncs // of its Store; nil: it has none
}

// ourClients are the ways to use our client. Where they do not differ only the
// first takes part.
func ourClients() []entry {
	all := []kind{publishing0, async, blocking, sequential, receiving, loaded, idling}
	receive := []kind{receiving}
	dispatch := []kind{dispatching}
	comeback := []kind{returning}
	subscribed := func(s *scenario) bool { return s.subscribed }
	twice := func(s *scenario) bool { return s.qos == 2 }
	list := []entry{
		{name: "mqtt", role: ours, kinds: all, open: openOurs(ourClient{})},
		{name: "mqtt-v311", role: ours, kinds: all, open: openOurs(ourClient{}, mqtt.V311)},
		{name: "mqtt-fresh", role: ours, kinds: []kind{async}, open: openOurs(ourClient{fresh: true})},
		{name: "mqtt-next", role: ours, kinds: receive, open: openOurs(ourClient{consume: byNext})},
		{name: "mqtt-all", role: ours, kinds: receive, open: openOurs(ourClient{consume: byAll})},
		{name: "mqtt-all", role: ours, kinds: []kind{idling}, only: subscribed, open: openOurs(ourClient{consume: byAll})},
		{name: "mqtt", role: ours, kinds: comeback, open: openOursReturning},
		{name: "mqtt", role: ours, kinds: dispatch, open: openOurs(ourClient{consume: byAll})},
		{name: "mqtt-v311", role: ours, kinds: dispatch, open: openOurs(ourClient{consume: byAll}, mqtt.V311)},
		{name: "mqtt", role: ours, kinds: []kind{durable}, stores: true, open: openOurs(ourClient{})},
		{name: "mqtt-nosync", role: ours, kinds: []kind{durable}, stores: true, open: openOurs(ourClient{unsynced: true})},
		{name: "mqtt-nostore", role: ours, kinds: []kind{durable}, open: openOurs(ourClient{})},
		{name: "mqtt-stored", role: ours, kinds: receive, only: twice, stores: true, open: openOurs(ourClient{})},
		{name: "mqtt", role: ours, kinds: []kind{starting}, stores: true},
		{name: "mqtt-shared", role: ours, kinds: dispatch, open: openOurs(ourClient{consume: byAll, shared: true})},
		{name: "mqtt-shared-v311", role: ours, kinds: dispatch, open: openOurs(ourClient{consume: byAll, shared: true}, mqtt.V311)},
	}
	return append(list, handled...)
}

// handled are the entries that receive by Handle.
var handled []entry

func openOursReturning(j *job) (client, error) {
	c, err := mqtt.Connect(context.Background(), j.url(), mqtt.Config{ClientID: j.clientID})
	if err != nil {
		return nil, err
	}
	_, err = c.Subscribe(context.Background(), topic, mqtt.AtMostOnce)
	return nil, err
}

func openOurs(how ourClient, version ...mqtt.Version) func(*job) (client, error) {
	return func(j *job) (client, error) {
		cfg := mqtt.Config{ClientID: j.clientID}
		if j.kind == async || j.kind == loaded || j.kind == durable {
			cfg.Inflight = window
		}
		o := how
		var err error
		if j.dir != "" {
			if cfg.Store, o.syncs, err = openStore(j.dir, bolt.Config{NoSync: how.unsynced}); err != nil {
				return nil, err
			}
		}
		if cfg.TLS, err = j.tlsConfig(); err != nil {
			return nil, err
		}
		for _, v := range version {
			cfg.Version = v
		}
		c, err := mqtt.Connect(context.Background(), j.url(), cfg)
		if err != nil {
			return nil, err
		}
		o.Client, o.job = c, j
		o.ring.wait = delivered
		o.message = mqtt.Message{Topic: topic, Payload: j.payload, QoS: mqtt.QoS(j.qos)}
		return &o, nil
	}
}

func (c *ourClient) synced() *syncs { return c.syncs }

func (c *ourClient) publish(qos byte) error {
	return c.Publish(context.Background(), topic, c.job.payload, mqtt.QoS(qos))
}

func (c *ourClient) publishAsync(byte) error {
	m := &c.message
	if c.fresh {
		m = &mqtt.Message{Topic: topic, Payload: c.job.payload, QoS: mqtt.QoS(c.job.qos)}
	}
	_, err := c.PublishAsync(context.Background(), m)
	return err
}

func (c *ourClient) flush() (uint64, error) { return 0, c.Flush(context.Background()) }

func (c *ourClient) submit(slot int) error {
	d, err := c.PublishAsync(context.Background(), &c.message)
	if err == nil {
		c.ring.put(slot, d)
	}
	return err
}

func (c *ourClient) await(slot int) error { return c.ring.await(slot) }

func delivered(d *mqtt.Delivery) error {
	_, err := d.Wait(context.Background())
	return err
}

// subscribe blocks the reader when a consumer is behind, as every peer does;
// dropping would only make the figures look better.
func (c *ourClient) subscribe(filters []string, qos byte, t *tally) error {
	o := mqtt.SubscribeOptions{Overflow: mqtt.Block}
	for i, f := range filters {
		o.Filters = append(o.Filters, mqtt.Filter{Filter: f, QoS: mqtt.QoS(qos)})
		if c.shared && i < len(filters)-1 {
			continue
		}
		sub, err := c.SubscribeWith(context.Background(), o)
		if err != nil {
			return err
		}
		go c.receive(sub, t)
		o.Filters = nil
	}
	return nil
}

func (c *ourClient) receive(sub *mqtt.Subscription, t *tally) {
	switch c.consume {
	case byMessages:
		for m := range sub.Messages() {
			t.message(m.Payload)
		}
	case byNext:
		for {
			m, err := sub.Next(context.Background())
			if err != nil {
				return
			}
			t.message(m.Payload)
		}
	case byAll:
		for m, err := range sub.All(context.Background()) {
			if err != nil {
				return
			}
			t.message(m.Payload)
		}
	}
}
