package main

import (
	"context"

	atwat "github.com/at-wat/mqtt-go"
)

// atwatClient is github.com/at-wat/mqtt-go: its BaseClient, without the layer
// that reconnects, with a ServeMux for messages.
type atwatClient struct {
	*atwat.BaseClient
	job *job
	mux atwat.ServeMux
}

func openAtwat(j *job) (client, error) {
	c := &atwatClient{job: j}
	secure, err := j.tlsConfig()
	if err != nil {
		return nil, err
	}
	if c.BaseClient, err = atwat.DialContext(context.Background(), j.url(), atwat.WithTLSConfig(secure)); err != nil {
		return nil, err
	}
	c.Handle(&c.mux)
	_, err = c.Connect(context.Background(), j.clientID, atwat.WithCleanSession(true))
	return c, err
}

func (c *atwatClient) publish(qos byte) error {
	return c.Publish(context.Background(), &atwat.Message{Topic: topic, QoS: atwat.QoS(qos), Payload: c.job.payload})
}

func (c *atwatClient) subscribe(filters []string, qos byte, t *tally) error {
	// The mux has no lock, so it is complete before anything arrives.
	for _, f := range filters {
		if err := c.mux.HandleFunc(f, func(m *atwat.Message) { t.message(m.Payload) }); err != nil {
			return err
		}
	}
	for _, f := range filters {
		if _, err := c.Subscribe(context.Background(), atwat.Subscription{Topic: f, QoS: atwat.QoS(qos)}); err != nil {
			return err
		}
	}
	return nil
}

// openReturningAtwat is the layer that reconnects and subscribes again.
func openReturningAtwat(j *job) (client, error) {
	c, err := atwat.NewReconnectClient(&atwat.URLDialer{URL: j.url()})
	if err != nil {
		return nil, err
	}
	if _, err := c.Connect(context.Background(), j.clientID, atwat.WithCleanSession(true)); err != nil {
		return nil, err
	}
	_, err = c.Subscribe(context.Background(), atwat.Subscription{Topic: topic})
	return nil, err
}
