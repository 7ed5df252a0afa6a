package migration_test

import (
	"context"
	"log"
	"net/url"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/autopaho/extensions/rpc"
	"github.com/eclipse/paho.golang/autopaho/queue/file"
	"github.com/eclipse/paho.golang/paho"
)

func autopahoService(ctx context.Context, server *url.URL, handler func(*paho.Publish)) (*autopaho.ConnectionManager, error) {
	// <before-service>
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{server},
		KeepAlive:                     60,
		CleanStartOnInitialConnection: true,
		SessionExpiryInterval:         300,
		OnConnectionUp: func(cm *autopaho.ConnectionManager, _ *paho.Connack) {
			go func() { // must not block
				_, err := cm.Subscribe(ctx, &paho.Subscribe{
					Subscriptions: []paho.SubscribeOptions{{Topic: "jobs/+", QoS: 1}},
				})
				if err != nil {
					log.Print(err)
				}
			}()
		},
		OnConnectError: func(err error) { log.Print(err) },
		ClientConfig: paho.ClientConfig{
			ClientID: "worker-7",
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(m paho.PublishReceived) (bool, error) {
					handler(m.Packet)
					return true, nil
				},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	err = cm.AwaitConnection(ctx)
	// </before-service>
	return cm, err
}

func autopahoPublish(ctx context.Context, cm *autopaho.ConnectionManager, payload []byte) error {
	// <before-publish>
	if err := cm.AwaitConnection(ctx); err != nil {
		return err
	}
	_, err := cm.Publish(ctx, &paho.Publish{ // fails if the connection has gone meanwhile
		Topic: "results/7", QoS: 1, Payload: payload,
		Properties: &paho.PublishProperties{ContentType: "text/plain"},
	})
	// </before-publish>
	return err
}

func autopahoQueue(ctx context.Context, server *url.URL, directory string, payload []byte) (*autopaho.ConnectionManager, error) {
	// <before-queue>
	q, err := file.New(directory, "queue", ".msg")
	if err != nil {
		return nil, err
	}
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls:            []*url.URL{server},
		KeepAlive:             60,
		SessionExpiryInterval: 86400,
		Queue:                 q,
		ClientConfig:          paho.ClientConfig{ClientID: "meter-12"},
	})
	if err != nil {
		return nil, err
	}
	err = cm.PublishViaQueue(ctx, &autopaho.QueuePublish{
		Publish: &paho.Publish{Topic: "meters/12", QoS: 1, Payload: payload},
	})
	// </before-queue>
	return cm, err
}

func autopahoRequest(ctx context.Context, cm *autopaho.ConnectionManager, router paho.Router) (string, error) {
	// <before-request>
	h, err := rpc.NewHandler(ctx, rpc.HandlerOpts{
		Conn: cm, Router: router, ResponseTopicFmt: "responses/%s", ClientID: "asker",
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	response, err := h.Request(ctx, &paho.Publish{Topic: "time/now", QoS: 1, Payload: []byte("Berlin")})
	if err != nil {
		return "", err
	}
	return string(response.Payload), nil
	// </before-request>
}

func autopahoCredentials(ctx context.Context, server *url.URL, token func() []byte) (*autopaho.ConnectionManager, error) {
	// <before-credentials>
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{server},
		ConnectPacketBuilder: func(c *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			c.UsernameFlag, c.Username = true, "device"
			c.PasswordFlag, c.Password = true, token()
			return c, nil
		},
	})
	// </before-credentials>
	return cm, err
}

func autopahoEnd(ctx context.Context, cm *autopaho.ConnectionManager) error {
	// <before-end>
	err := cm.Disconnect(ctx)
	<-cm.Done()
	// </before-end>
	return err
}
