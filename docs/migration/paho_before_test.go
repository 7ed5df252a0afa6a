package migration_test

import (
	"crypto/tls"
	"errors"
	"log"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

func pahoService(server string, handler paho.MessageHandler) (paho.Client, error) {
	// <before-service>
	opts := paho.NewClientOptions().
		AddBroker(server).
		SetClientID("worker-7").
		SetKeepAlive(time.Minute).
		SetWill("workers/7", "gone", 1, true).
		SetConnectRetry(true).
		SetOnConnectHandler(func(c paho.Client) { // subscribes again after each reconnect
			if t := c.Subscribe("jobs/+", 1, handler); t.Wait() && t.Error() != nil {
				log.Print(t.Error())
			}
		}).
		SetConnectionLostHandler(func(_ paho.Client, err error) { log.Print(err) })
	client := paho.NewClient(opts)
	if t := client.Connect(); t.Wait() && t.Error() != nil {
		return nil, t.Error()
	}
	// </before-service>
	return client, nil
}

func pahoPublish(client paho.Client, payload []byte) error {
	// <before-publish>
	token := client.Publish("results/7", 1, false, payload)
	if !token.WaitTimeout(30 * time.Second) {
		return errors.New("timeout") // it may still be sent
	}
	return token.Error()
	// </before-publish>
}

func pahoManualAck(server string, save func([]byte) error) paho.Client {
	// <before-ack>
	opts := paho.NewClientOptions().AddBroker(server).SetClientID("ingester").
		SetCleanSession(false).
		SetOrderMatters(false).
		SetAutoAckDisabled(true).
		SetOnConnectHandler(func(c paho.Client) {
			c.Subscribe("readings/#", 1, func(_ paho.Client, msg paho.Message) {
				if err := save(msg.Payload()); err == nil {
					msg.Ack()
				}
			})
		})
	client := paho.NewClient(opts)
	// </before-ack>
	return client
}

func pahoStore(server, directory string) paho.Client {
	// <before-store>
	opts := paho.NewClientOptions().AddBroker(server).SetClientID("meter-12").
		SetCleanSession(false).
		SetStore(paho.NewFileStore(directory))
	client := paho.NewClient(opts)
	// </before-store>
	return client
}

func pahoCredentials(server string, token func() string, certificate func() tls.Certificate) paho.Client {
	// <before-credentials>
	opts := paho.NewClientOptions().AddBroker(server).
		SetCredentialsProvider(func() (username, password string) { return "device", token() }).
		SetConnectionAttemptHandler(func(_ *url.URL, c *tls.Config) *tls.Config {
			if c == nil {
				return nil // no TLS
			}
			c = c.Clone()
			c.Certificates = []tls.Certificate{certificate()}
			return c
		})
	client := paho.NewClient(opts)
	// </before-credentials>
	return client
}

func pahoEnd(client paho.Client) {
	// <before-end>
	client.Unsubscribe("jobs/+").Wait()
	client.Disconnect(250) // milliseconds; what is not done by then is lost
	// </before-end>
}
