package main

import (
	"context"
	"net/url"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// autopahoClient is github.com/eclipse/paho.golang (MQTT 5) through autopaho
// with its defaults and the standard router.
type autopahoClient struct {
	*autopaho.ConnectionManager
	job    *job
	router *paho.StandardRouter
}

func openAutopaho(j *job) (client, error) {
	server, err := url.Parse(j.url())
	if err != nil {
		return nil, err
	}
	secure, err := j.tlsConfig()
	if err != nil {
		return nil, err
	}
	c := &autopahoClient{job: j, router: paho.NewStandardRouter()}
	c.ConnectionManager, err = autopaho.NewConnection(context.Background(), autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{server},
		KeepAlive:                     60,
		CleanStartOnInitialConnection: true,
		TlsCfg:                        secure,
		ClientConfig: paho.ClientConfig{
			ClientID: j.clientID,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(m paho.PublishReceived) (bool, error) {
					c.router.Route(m.Packet.Packet())
					return true, nil
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	return c, c.AwaitConnection(context.Background())
}

func (c *autopahoClient) publish(qos byte) error {
	_, err := c.Publish(context.Background(), &paho.Publish{Topic: topic, QoS: qos, Payload: c.job.payload})
	return err
}

func (c *autopahoClient) subscribe(filters []string, qos byte, t *tally) error {
	for _, f := range filters {
		c.router.RegisterHandler(f, func(m *paho.Publish) { t.message(m.Payload) })
		_, err := c.Subscribe(context.Background(), &paho.Subscribe{
			Subscriptions: []paho.SubscribeOptions{{Topic: f, QoS: qos}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openReturningAutopaho subscribes on every connection, as its users have to.
func openReturningAutopaho(j *job) (client, error) {
	server, err := url.Parse(j.url())
	if err != nil {
		return nil, err
	}
	c, err := autopaho.NewConnection(context.Background(), autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{server},
		KeepAlive:                     60,
		CleanStartOnInitialConnection: true,
		OnConnectionUp: func(c *autopaho.ConnectionManager, _ *paho.Connack) {
			c.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic}}})
		},
		ClientConfig: paho.ClientConfig{ClientID: j.clientID},
	})
	if err != nil {
		return nil, err
	}
	return nil, c.AwaitConnection(context.Background())
}

// pahoAsync is paho.golang without autopaho, which has no asynchronous publish
// apart from its queue. The server's receive maximum is the window. Over
// WebSocket its connection is that of the limit.
type pahoAsync struct {
	*paho.Client
	job *job
}

func openPahoAsync(j *job) (client, error) {
	nc, err := j.dial()
	if err != nil {
		return nil, err
	}
	c := &pahoAsync{paho.NewClient(paho.ClientConfig{ClientID: j.clientID, Conn: nc}), j}
	_, err = c.Connect(context.Background(), &paho.Connect{ClientID: j.clientID, CleanStart: true, KeepAlive: 60})
	return c, err
}

func (c *pahoAsync) publish(qos byte) error {
	_, err := c.Publish(context.Background(), &paho.Publish{Topic: topic, QoS: qos, Payload: c.job.payload})
	return err
}

func (c *pahoAsync) publishAsync(qos byte) error {
	_, err := c.PublishWithOptions(context.Background(), &paho.Publish{Topic: topic, QoS: qos, Payload: c.job.payload},
		paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
	return err
}

// flush publishes one more and waits for it: the server answers in order.
func (c *pahoAsync) flush() (uint64, error) { return 1, c.publish(c.job.qos) }
