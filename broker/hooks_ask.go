package broker

import (
	"context"
	"strings"

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

// authorize asks the hooks in order. If there are none, everything is allowed.
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
	// Topics that start with $ belong to the server: clients cannot publish on them.
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

// connectReasons are those of CONNACK with which a hook may refuse.
var connectReasons = []wire.ReasonCode{
	wire.UnspecifiedError, wire.ImplementationSpecificError, wire.ClientIdentifierNotValid, wire.BadUserNameOrPassword,
	wire.ServerUnavailable, wire.ServerBusy, wire.Banned, wire.BadAuthenticationMethod, wire.TopicNameInvalid,
	wire.PacketTooLarge, wire.QuotaExceeded, wire.PayloadFormatInvalid, wire.RetainNotSupported, wire.QoSNotSupported,
	wire.UseAnotherServer, wire.ServerMoved, wire.ConnectionRateExceeded,
}

// login asks the authenticators in order.
func (h *hooks) login(ctx context.Context, l *Login) Decision {
	if h.cfg.open() {
		return Allow()
	}
	for _, hook := range h.cfg.Authenticators {
		if d := h.askAuthenticator(ctx, hook, l); d.verdict != undecided {
			return d
		}
	}
	return Pass()
}
