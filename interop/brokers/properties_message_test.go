package brokers

import (
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var messageProperties = behaviour{
	group: "Properties of 5.0", name: "properties of a message",
	what:       "content type, response topic, correlation data, payload format, expiry and user properties arrive, in order",
	versions:   only5,
	departures: losing,
	probe: func(p *probe) verdict {
		m := richMessage(p)
		sub := p.subscribe(p.connect(mqtt.Config{}), m.Topic, mqtt.AtLeastOnce)
		p.publish(p.connect(mqtt.Config{}), m)
		return sameProperties(p, m, p.next(sub))
	},
}

var willProperties = behaviour{
	group: "Properties of 5.0", name: "properties of a will",
	what:       "the same for a will",
	versions:   only5,
	departures: losing,
	probe: func(p *probe) verdict {
		m := richMessage(p)
		sub := p.subscribe(p.connect(mqtt.Config{}), m.Topic, mqtt.AtLeastOnce)
		leaving := p.connect(mqtt.Config{Will: &mqtt.Will{Message: *m}})
		require.NoError(p, leaving.Disconnect(p.ctx, mqtt.DisconnectWithWill))
		return sameProperties(p, m, p.next(sub))
	},
}

var retainedProperties = behaviour{
	group: "Properties of 5.0", name: "properties of a retained message",
	what:       "the same for a retained message",
	versions:   only5,
	departures: losing,
	probe: func(p *probe) verdict {
		m := richMessage(p)
		m.Retain = true
		sender := p.connect(mqtt.Config{})
		p.publish(sender, m)
		defer p.publish(sender, &mqtt.Message{Topic: m.Topic, QoS: mqtt.AtLeastOnce, Retain: true})
		return sameProperties(p, m, p.next(p.subscribe(p.connect(mqtt.Config{}), m.Topic, mqtt.AtLeastOnce)))
	},
}

// losing are the departures of all of them.
var losing = []departure{
	{broker: "mochi", verdict: "loses payload format, content type, response topic, correlation data, expiry", or: []verdict{yes}, why: "seen here, now and then"},
}

// richMessage has every property that a publisher can set.
func richMessage(p *probe) *mqtt.Message {
	return &mqtt.Message{
		Topic: p.topic(), Payload: []byte("grüße"), QoS: mqtt.AtLeastOnce,
		PayloadFormatUTF8:     true,
		MessageExpiryInterval: new(time.Hour),
		ContentType:           "text/plain; charset=utf-8",
		ResponseTopic:         p.topic(),
		CorrelationData:       []byte{0, 0xff, 0x80},
		UserProperties: []mqtt.UserProperty{
			{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "1"}, {Name: "", Value: "ü"},
		},
	}
}

// sameProperties compares what has come with what was sent.
func sameProperties(p *probe, want, got *mqtt.Message) verdict {
	require.Equal(p, want.Payload, got.Payload)
	var lost []string
	check := func(name string, same bool) {
		if !same {
			lost = append(lost, name)
		}
	}
	check("payload format", got.PayloadFormatUTF8)
	check("content type", got.ContentType == want.ContentType)
	check("response topic", got.ResponseTopic == want.ResponseTopic)
	check("correlation data", string(got.CorrelationData) == string(want.CorrelationData))
	check("user properties", slices.Equal(got.UserProperties, want.UserProperties))
	check("expiry", got.MessageExpiryInterval != nil && *got.MessageExpiryInterval <= time.Hour && *got.MessageExpiryInterval > 0)
	if len(lost) > 0 {
		p.Logf("%+v", got)
		return verdict("loses " + strings.Join(lost, ", "))
	}
	return yes
}
