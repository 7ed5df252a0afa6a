package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// will is what is published when a client goes without saying goodbye.
type will struct {
	message wire.Publish
	delay   time.Duration
	peer    *Peer
}

// newWill copies the will of a CONNECT, or returns nil.
func newWill(c *conn, w *wire.Will) *will {
	if w == nil {
		return nil
	}
	p := wire.Publish{Topic: w.Topic, Payload: append([]byte(nil), w.Payload...), QoS: w.QoS, Retain: w.Retain}
	if c.version == wire.V5 {
		// [MQTT-3.1.3-10] the order of user properties is kept.
		p.Properties = copyProperties(&wire.PublishProperties{
			PayloadFormatUTF8:     w.PayloadFormatUTF8,
			MessageExpiryInterval: w.MessageExpiryInterval,
			ContentType:           w.ContentType,
			ResponseTopic:         w.ResponseTopic,
			CorrelationData:       w.CorrelationData,
			UserProperties:        w.UserProperties,
		})
	}
	return &will{message: p, delay: time.Duration(w.DelayInterval) * time.Second, peer: c.peer}
}

// publish sends the will, which must have been taken out of the session: it is
// published once [MQTT-3.1.2-10].
func (w *will) publish(b *Broker, now time.Time) {
	code := wire.Success
	if no := b.authorizePublish(w.peer, &w.message); no != nil {
		code = no.code
	} else {
		var r router
		code = b.publish(&r, newMessage(&w.message, w.peer.ClientID, now), now)
		r.flush()
	}
	if b.observed() {
		b.observe(Published{w.peer, &w.message, code})
	}
}
