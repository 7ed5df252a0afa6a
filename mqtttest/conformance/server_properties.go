package conformance

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func serverPropertyChecks() []serverCheck {
	return []serverCheck{
		of("properties are passed on", "", "3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20", "payload format, response topic, correlation data, content type and user properties, in their order, come as they were sent", (*trial).propertiesPass),
		of("properties of a retained message", "", "§3.3.1.3", "a retained message has the properties that it was published with", (*trial).retainedProperties),
		of("empty correlation data", "", "§1.5.6", "correlation data of no bytes are not the same as none", (*trial).emptyCorrelation),
		of("expiry counts down", "", "3.3.2-6", "a message that has waited comes with what is left of its expiry interval", (*trial).expiryCounts),
		of("expired messages", "", "3.3.2-5", "a message that has expired before its delivery began is not delivered", (*trial).expired),
		of("subscription identifiers", "", "3.3.4-3 3.3.4-4 3.3.4-5", "a message has the identifiers of the subscriptions that it comes for", (*trial).subscriptionIdentifiers),
		of("subscription identifier from a client", "", "3.3.4-6", "a PUBLISH of a client with a subscription identifier ends the connection", (*trial).identifierFromClient),
		of("response topic with wildcards", "", "3.3.2-14", "a PUBLISH whose response topic has wildcards is refused", (*trial).wildcardResponseTopic),
	}
}

func fullProperties() *wire.PublishProperties {
	return &wire.PublishProperties{
		PayloadFormatUTF8: true, ContentType: "text/plain", ResponseTopic: "conformance/answer", CorrelationData: []byte{0, 255, 7},
		UserProperties: []wire.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "1"}, {Name: "", Value: ""}, {Name: "a", Value: "é"}},
	}
}

// same fails if properties of a message are not those that it was published with.
func (t *trial) sameProperties(m *wire.Publish) {
	sent := fullProperties()
	got := m.Properties
	if got == nil {
		t.fail("the message comes without its properties")
	}
	switch {
	case !got.PayloadFormatUTF8:
		t.fail("the payload format is lost")
	case got.ContentType != sent.ContentType:
		t.fail("the content type comes as %q", got.ContentType)
	case got.ResponseTopic != sent.ResponseTopic:
		t.fail("the response topic comes as %q", got.ResponseTopic)
	case !bytes.Equal(got.CorrelationData, sent.CorrelationData):
		t.fail("the correlation data come as % x", got.CorrelationData)
	case !slices.Equal(got.UserProperties, sent.UserProperties):
		t.fail("the user properties come as %q", got.UserProperties)
	}
}

func (t *trial) propertiesPass() {
	a, b := t.joinAs("a"), t.joinAs("b")
	most := t.s.highest(t.version, 2)
	a.subscribe(filter(t.topic("a"), most))
	for qos := range most + 1 {
		b.publishWith(&wire.Publish{Topic: t.topic("a"), QoS: qos, Payload: []byte("x"), Properties: fullProperties()})
		t.sameProperties(a.expect(t.topic("a"), "x"))
	}
}

func (t *trial) retainedProperties() {
	t.needsRetain()
	t.retained = append(t.retained, t.topic("a"))
	t.joinAs("b").publishWith(&wire.Publish{Topic: t.topic("a"), Retain: true, QoS: t.s.highest(t.version, 1), Payload: []byte("x"), Properties: fullProperties()})
	a := t.joinAs("a")
	a.subscribe(filter(t.topic("a"), 0))
	t.sameProperties(a.expect(t.topic("a"), "x"))
}

func (t *trial) emptyCorrelation() {
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribe(filter(t.topic("a"), 0))
	b.publishWith(&wire.Publish{Topic: t.topic("a"), Properties: &wire.PublishProperties{CorrelationData: []byte{}, ResponseTopic: "r"}})
	m := a.message()
	if m.Properties == nil || m.Properties.CorrelationData == nil {
		t.remark("correlation data of no bytes come as none")
	}
}

func (t *trial) expiryCounts() {
	t.needsQoS(1)
	p := t.joinAs("a", keep)
	p.subscribe(filter(t.topic("a"), 1))
	p.leave()
	t.joinAs("b").publishWith(&wire.Publish{Topic: t.topic("a"), QoS: 1, Payload: []byte("x"), Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(1000))}})
	t.wait(2500 * time.Millisecond)
	m := t.joinAs("a", keep).expect(t.topic("a"), "x")
	switch {
	case m.Properties == nil || m.Properties.MessageExpiryInterval == nil:
		t.fail("the message comes without expiry interval")
	case *m.Properties.MessageExpiryInterval > 998:
		t.fail("a message that expires after 1000 s and has waited 2.5 s comes with %d s", *m.Properties.MessageExpiryInterval)
	case *m.Properties.MessageExpiryInterval < 900:
		t.fail("a message that expires after 1000 s and has waited a few comes with less than 900 s")
	}
}

func (t *trial) expired() {
	t.needsQoS(1)
	p := t.joinAs("a", keep)
	p.subscribe(filter(t.topic("a"), 1))
	p.leave()
	b := t.joinAs("b")
	b.publishWith(&wire.Publish{Topic: t.topic("a"), QoS: 1, Payload: []byte("old"), Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(1))}})
	b.publish(t.topic("a"), "new", 1)
	t.wait(3500 * time.Millisecond)
	t.joinAs("a", keep).expect(t.topic("a"), "new")
}

func (t *trial) subscriptionIdentifiers() {
	t.needsSubscriptionIDs()
	t.needsWildcards()
	a, b := t.joinAs("a"), t.joinAs("b")
	a.subscribeWith(&wire.Subscribe{SubscriptionID: 7, Filters: []wire.SubscribeFilter{filter(t.topic("a/#"), 0)}})
	a.subscribeWith(&wire.Subscribe{SubscriptionID: 268_435_455, Filters: []wire.SubscribeFilter{filter(t.topic("a/b"), 0)}})
	a.subscribe(filter(t.topic("c"), 0))
	b.publish(t.topic("a/b"), "x", 0)
	var seen []uint32
	for copies := 0; len(seen) < 2; copies++ {
		if copies == 2 {
			t.fail("the message comes with the identifiers %d, not with 7 and 268435455", seen)
		}
		m := a.expect(t.topic("a/b"), "x")
		if m.Properties == nil || len(m.Properties.SubscriptionIDs) == 0 {
			t.fail("the message comes without subscription identifier")
		}
		seen = append(seen, m.Properties.SubscriptionIDs...)
	}
	slices.Sort(seen)
	if !slices.Equal(seen, []uint32{7, 268_435_455}) {
		t.fail("the message comes with the identifiers %d, not with 7 and 268435455", seen)
	}
	b.publish(t.topic("c"), "y", 0)
	if m := a.expect(t.topic("c"), "y"); m.Properties != nil && len(m.Properties.SubscriptionIDs) > 0 {
		t.fail("a message for a subscription without identifier has the identifiers %d", m.Properties.SubscriptionIDs)
	}
}

func (t *trial) identifierFromClient() {
	p := t.joinAs("a")
	p.raw(framed(0x30, text(t.topic("a")), block([]byte{0x0B, 1}), []byte("x")))
	p.refused("a PUBLISH with a subscription identifier", wire.ProtocolError, wire.MalformedPacket)
}

func (t *trial) wildcardResponseTopic() {
	a := t.joinAs("w")
	a.subscribe(filter(t.topic("a"), 0))
	p := t.joinAs("a")
	p.raw(framed(0x30, text(t.topic("a")), block([]byte{0x08}, text("r/#")), []byte("x")))
	p.refused("a response topic with wildcards", wire.ProtocolError, wire.MalformedPacket, wire.TopicNameInvalid)
}
