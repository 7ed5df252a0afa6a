package brokers

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// text is a message whose payload is text.
func text(topic, payload string, qos mqtt.QoS) *mqtt.Message {
	return &mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos}
}

// publishAll publishes numbered messages to a topic, one after the other, and returns
// their payloads.
func (p *probe) publishAll(c *mqtt.Client, topic string, qos mqtt.QoS, n int) (payloads []string) {
	p.Helper()
	for i := range n {
		payloads = append(payloads, fmt.Sprint(i))
		p.publish(c, text(topic, payloads[i], qos))
	}
	return payloads
}

// leave ends a client in order. It waits for no consumer, as some of them take only the
// first messages.
func (p *probe) leave(c *mqtt.Client) {
	p.Helper()
	require.NoError(p, c.Close())
}
