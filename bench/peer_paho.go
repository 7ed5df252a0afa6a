package main

import (
	paho3 "github.com/eclipse/paho.mqtt.golang"
)

// pahoClient is github.com/eclipse/paho.mqtt.golang with its defaults.
type pahoClient struct {
	paho3.Client
	job  *job
	ring ring[paho3.Token]
}

func openPaho(j *job) (client, error) {
	c := &pahoClient{job: j}
	c.ring.wait = finished
	o := paho3.NewClientOptions().AddBroker(j.url()).SetClientID(j.clientID)
	secure, err := j.tlsConfig()
	if err != nil {
		return nil, err
	}
	if secure != nil {
		o.SetTLSConfig(secure)
	}
	c.Client = paho3.NewClient(o)
	return c, finished(c.Connect())
}

// openReturningPaho subscribes on every connection, as its users have to.
func openReturningPaho(j *job) (client, error) {
	o := paho3.NewClientOptions().AddBroker(j.url()).SetClientID(j.clientID)
	o.SetOnConnectHandler(func(c paho3.Client) { c.Subscribe(topic, 0, nil) })
	return nil, finished(paho3.NewClient(o).Connect())
}

func finished(t paho3.Token) error {
	t.Wait()
	return t.Error()
}

// publish does not wait for the token at QoS 0: the message has been handed to
// the writer.
func (c *pahoClient) publish(qos byte) error {
	t := c.Publish(topic, qos, false, c.job.payload)
	if qos == 0 {
		return nil
	}
	return finished(t)
}

func (c *pahoClient) publishAsync(qos byte) error {
	if err := c.ring.make(); err != nil {
		return err
	}
	c.ring.push(c.Publish(topic, qos, false, c.job.payload))
	return nil
}

func (c *pahoClient) submit(slot int) error {
	c.ring.put(slot, c.Publish(topic, c.job.qos, false, c.job.payload))
	return nil
}

func (c *pahoClient) await(slot int) error { return c.ring.await(slot) }

func (c *pahoClient) flush() (uint64, error) { return c.ring.flush() }

func (c *pahoClient) subscribe(filters []string, qos byte, t *tally) error {
	for _, f := range filters {
		handler := func(_ paho3.Client, m paho3.Message) { t.message(m.Payload()) }
		if err := finished(c.Subscribe(f, qos, handler)); err != nil {
			return err
		}
	}
	return nil
}
