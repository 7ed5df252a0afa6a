package broker

import (
	"strings"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// The reasons that acknowledgements can carry beside NotAuthorized.
// [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.9.3-2]
var (
	publishReasons = []wire.ReasonCode{
		wire.UnspecifiedError, wire.ImplementationSpecificError, wire.TopicNameInvalid, wire.QuotaExceeded, wire.PayloadFormatInvalid,
	}
	subscribeReasons = []wire.ReasonCode{
		wire.UnspecifiedError, wire.ImplementationSpecificError, wire.TopicFilterInvalid, wire.QuotaExceeded,
		wire.SharedSubscriptionsNotSupported, wire.WildcardSubscriptionsNotSupported,
	}
)

// authorize asks the hooks in order. Without any everything is allowed.
func (h *hooks) authorize(a *Access) Decision {
	if len(h.cfg.Authorizers) == 0 {
		return Allow()
	}
	for _, hook := range h.cfg.Authorizers {
		if d := h.askAuthorizer(hook, a); d.verdict != undecided {
			return d
		}
	}
	return Pass()
}

// authorizePublish returns nil if the client may publish the message.
func (h *hooks) authorizePublish(peer *Peer, p *wire.Publish) *refusal {
	// Topics with $ are the server's own; clients cannot talk to each other on them.
	if strings.HasPrefix(p.Topic, "$") {
		h.counts.denied.Add(1)
		return &refusal{code: wire.NotAuthorized, text: "topics that start with $ are the server's"}
	}
	if h.cfg.tooDeep(p.Topic) {
		return &refusal{code: wire.TopicNameInvalid, text: "topic has too many levels"}
	}
	if len(h.cfg.Authorizers) == 0 {
		return nil
	}
	d := h.authorize(&Access{Peer: peer, Action: PublishAction, Topic: p.Topic, QoS: p.QoS, Message: p})
	if d.verdict == allowed && p.QoS > d.qos {
		d = Deny(wire.NotAuthorized, "QoS is above what is allowed")
	}
	no := d.refusal(publishReasons...)
	if no != nil {
		h.counts.denied.Add(1)
	}
	return no
}

// authorizeSubscribe returns the QoS up to which the client may subscribe, or a
// refusal.
func (c *conn) authorizeSubscribe(f *wire.SubscribeFilter) (wire.QoS, *refusal) {
	filter := f.Filter
	if c.b.cfg.tooDeep(filter) {
		return 0, &refusal{code: wire.TopicFilterInvalid, text: "filter has too many levels"}
	}
	if c.version == wire.V5 {
		_, filter, _ = match.SplitShared(filter)
	} else if c.b.cfg.NoWildcards && match.HasWildcard(filter) {
		return 0, &refusal{code: wire.WildcardSubscriptionsNotSupported}
	}
	d := c.b.hooks.authorize(&Access{Peer: c.peer, Action: SubscribeAction, Topic: filter, QoS: f.QoS})
	no := d.refusal(subscribeReasons...)
	if no != nil {
		c.b.counts.denied.Add(1)
	}
	return d.qos, no
}
