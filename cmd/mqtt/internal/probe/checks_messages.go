package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// baseTest finds out whether messages come back at all, which most checks need.
func baseTest() test {
	return test{group: groupMessages, name: "a message comes back", run: func(ctx context.Context, s *suite) (finding, error) {
		f, err := roundTrip(ctx, s, 0)
		if err != nil {
			s.works = "no message came back: " + err.Error()
			return finding{answer: No, note: err.Error()}, nil
		}
		return f, nil
	}}
}

func messageTests() []test {
	var list []test
	for qos := wire.AtLeastOnce; qos <= wire.ExactlyOnce; qos++ {
		list = append(list, test{group: groupMessages, name: fmt.Sprintf("QoS %d", qos), unless: needsMessages, run: func(ctx context.Context, s *suite) (finding, error) {
			if qos > s.qos {
				return no(fmt.Sprintf("the server has announced a maximum QoS of %d", s.qos)), nil
			}
			f, err := roundTrip(ctx, s, qos)
			if errors.Is(err, wire.QoSNotSupported) || errors.Is(err, errSlow) {
				s.qos = min(s.qos, qos-1)
				return no(err.Error()), nil
			}
			if gone, ok := errors.AsType[*goneError](err); ok {
				s.qos = min(s.qos, qos-1)
				return no(gone.Error()), nil
			}
			return f, err
		}})
	}
	return append(list,
		test{group: groupMessages, name: "order of messages", unless: needsMessages, run: order},
		test{group: groupMessages, name: "No matching subscribers is told", unless: all(needs5, needsQoS(1)), run: func(ctx context.Context, s *suite) (finding, error) {
			k, _, err := s.connect(ctx, nil)
			if err != nil {
				return finding{}, err
			}
			code, err := k.publish(ctx, &wire.Publish{Topic: s.topic("nobody"), QoS: wire.AtLeastOnce})
			if err != nil {
				return finding{}, err
			}
			if code == wire.NoMatchingSubscribers {
				return yes(""), nil
			}
			return no("the server may leave it out"), nil
		}},
		test{group: groupMessages, name: "properties arrive (request and response)", unless: needs5, run: properties},
		test{group: groupMessages, name: "topic alias to the server", unless: needs5, run: aliasUp},
		test{group: groupMessages, name: "topic alias from the server", unless: needs5, run: aliasDown},
	)
}

// roundTrip publishes a message to a subscriber and looks at what comes.
func roundTrip(ctx context.Context, s *suite, qos wire.QoS) (finding, error) {
	topic := s.topic(fmt.Sprintf("qos%d", qos))
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	granted, err := k.subscribe(ctx, &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: topic, QoS: qos}}})
	if err != nil {
		return finding{}, err
	}
	payload := []byte("probe")
	start := time.Now()
	if _, err := k.publish(ctx, &wire.Publish{Topic: topic, Payload: payload, QoS: qos}); err != nil {
		return finding{}, err
	}
	m, err := k.next(ctx)
	if err != nil {
		return finding{}, err
	}
	took := time.Since(start)
	switch {
	case m.Topic != topic || !bytes.Equal(m.Payload, payload):
		return wrong("another message came: topic %q, payload %q", m.Topic, m.Payload), nil
	case m.QoS > qos:
		return wrong("it came with QoS %d", m.QoS), nil
	case m.QoS < qos:
		return no(fmt.Sprintf("the subscription was granted %s, and the message came with QoS %d", granted[0], m.QoS)), nil
	}
	return yes("").with("publish to arrival %d µs", took.Microseconds()), nil
}

// order sends messages without waiting between them.
func order(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("order")
	qos := s.acknowledged()
	sub, pub, err := s.pair(ctx, wire.SubscribeFilter{Filter: topic, QoS: qos})
	if err != nil {
		return finding{}, err
	}
	n := 100
	if max := int(s.announced.ReceiveMaximum); qos > 0 && max > 0 {
		n = min(n, max)
	}
	if qos > 0 && s.version < wire.V5 {
		n = 20 // what Mosquitto takes at once; servers before 5.0 cannot say it
	}
	var sent []*wire.Publish
	for i := range n {
		m := &wire.Publish{Topic: topic, Payload: fmt.Append(nil, i), QoS: qos}
		if qos > 0 {
			m.PacketID = pub.id()
		}
		if err := pub.send(m); err != nil {
			return finding{}, err
		}
		sent = append(sent, m)
	}
	for _, m := range sent {
		if qos > 0 {
			if _, err := pub.published(ctx, m); err != nil {
				return finding{}, err
			}
		}
	}
	got, err := s.until(ctx, sub, pub, topic, qos)
	if err != nil {
		return finding{}, err
	}
	if len(got) != n {
		return no(fmt.Sprintf("of %d messages at QoS %d, %d came", n, qos, len(got))), nil
	}
	for i, m := range got {
		if string(m.Payload) != fmt.Sprint(i) {
			return wrong("message %s came in place %d [MQTT-4.6.0-6]", m.Payload, i), nil
		}
	}
	return yes("").with("%d messages at QoS %d", n, qos), nil
}

// properties are what a request carries. They have to arrive as they were.
func properties(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("properties")
	sub, pub, err := s.pair(ctx, wire.SubscribeFilter{Filter: topic})
	if err != nil {
		return finding{}, err
	}
	sent := wire.PublishProperties{
		PayloadFormatUTF8: true, ContentType: "text/plain", ResponseTopic: s.topic("response"), CorrelationData: []byte{0, 255},
		UserProperties: []wire.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}},
	}
	if _, err := pub.publish(ctx, &wire.Publish{Topic: topic, Payload: []byte("probe"), Properties: &sent}); err != nil {
		return finding{}, err
	}
	m, err := sub.next(ctx)
	if err != nil {
		return finding{}, err
	}
	got := m.Properties
	if got == nil {
		got = &wire.PublishProperties{}
	}
	var lost []string
	for _, p := range []struct {
		name string
		same bool
	}{
		{"payload format", got.PayloadFormatUTF8}, {"content type", got.ContentType == sent.ContentType},
		{"response topic", got.ResponseTopic == sent.ResponseTopic}, {"correlation data", bytes.Equal(got.CorrelationData, sent.CorrelationData)},
		{"user properties", slices.Equal(got.UserProperties, sent.UserProperties)},
	} {
		if !p.same {
			lost = append(lost, p.name)
		}
	}
	if lost != nil {
		return wrong("lost or changed: %q", lost), nil
	}
	return yes("").with("response topic, correlation data, content type, payload format, user properties in order"), nil
}

func aliasUp(ctx context.Context, s *suite) (finding, error) {
	if s.announced.TopicAliasMaximum == 0 {
		return no("the server has announced a topic alias maximum of 0"), nil
	}
	topic := s.topic("alias")
	sub, pub, err := s.pair(ctx, wire.SubscribeFilter{Filter: topic})
	if err != nil {
		return finding{}, err
	}
	for _, t := range []string{topic, ""} {
		m := &wire.Publish{Topic: t, Payload: []byte("probe"), Properties: &wire.PublishProperties{TopicAlias: s.announced.TopicAliasMaximum}}
		if _, err := pub.publish(ctx, m); err != nil {
			return finding{}, err
		}
	}
	for range 2 {
		m, err := sub.next(ctx)
		if err != nil {
			return wrong("a message with a topic alias did not come: %v", err), nil
		}
		if m.Topic != topic {
			return wrong("a message came on topic %q", m.Topic), nil
		}
	}
	return yes("").with("alias %d, the highest", s.announced.TopicAliasMaximum), nil
}

func aliasDown(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("alias-from-the-server-for-a-topic-that-is-long-enough-to-be-worth-it")
	sub, _, err := s.connect(ctx, func(p *wire.Connect) { p.TopicAliasMaximum = 4 })
	if err != nil {
		return finding{}, err
	}
	if err := sub.filter(ctx, topic, 0); err != nil {
		return finding{}, err
	}
	pub, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	for range 4 {
		if _, err := pub.publish(ctx, &wire.Publish{Topic: topic, Payload: []byte("probe")}); err != nil {
			return finding{}, err
		}
	}
	used := uint16(0)
	for range 4 {
		m, err := sub.next(ctx)
		if err != nil {
			return finding{}, err
		}
		if m.Properties == nil {
			continue
		}
		if m.Properties.TopicAlias > 4 {
			return wrong("the server used alias %d, and 4 were allowed [MQTT-3.1.2-26]", m.Properties.TopicAlias), nil
		}
		used = max(used, m.Properties.TopicAlias)
	}
	if used == 0 {
		return no("the server sends topics in full"), nil
	}
	return yes(""), nil
}
