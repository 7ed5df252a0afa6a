package probe

import (
	"context"
	"fmt"

	"github.com/seed65a45251/mqtt/wire"
)

func retainedTests() []test {
	whole := all(needsMessages, needsRetained)
	return []test{
		{group: groupRetained, name: "kept and sent to new subscriptions", unless: whole, run: retainedSet},
		{group: groupRetained, name: "removed by an empty message", unless: whole, run: retainedClear},
		{group: groupRetained, name: "retain handling: send never", unless: all(needs5, needsRetained), run: retainNever},
		{group: groupRetained, name: "retain handling: send if new", unless: all(needs5, needsRetained), run: retainIfNew},
		{group: groupRetained, name: "retain as published", unless: all(needs5, needsRetained), run: retainAsPublished},
	}
}

// expectRetained waits for the retained message of a topic.
func expectRetained(ctx context.Context, k *peer, topic string, payload string) (finding, error) {
	m, err := k.next(ctx)
	if err != nil {
		return no(fmt.Sprintf("no retained message came: %v", err)), nil
	}
	switch {
	case m.Topic != topic || string(m.Payload) != payload:
		return wrong("another message came: topic %q, payload %q", m.Topic, m.Payload), nil
	case !m.Retain:
		return wrong("it came without the retain flag"), nil
	}
	return yes(""), nil
}

func retainedSet(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("retained")
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	for _, payload := range []string{"old", "new"} {
		if err := s.retain(ctx, k, topic, payload); err != nil {
			return no(err.Error()), nil
		}
	}
	// At QoS 0 the server may not have it yet; this connection's SUBSCRIBE comes after it.
	if err := k.filter(ctx, topic, 0); err != nil {
		return finding{}, err
	}
	return expectRetained(ctx, k, topic, "new")
}

func retainedClear(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("cleared")
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	for _, payload := range []string{"old", ""} {
		if err := s.retain(ctx, k, topic, payload); err != nil {
			return finding{}, err
		}
	}
	if err := k.filter(ctx, topic, 0); err != nil {
		return finding{}, err
	}
	return s.nothing(ctx, k, k, topic, "a retained message came [MQTT-3.3.1-6]")
}

// nothing is yes if nothing comes before a mark on topic.
func (s *suite) nothing(ctx context.Context, sub, pub *peer, topic, fault string) (finding, error) {
	got, err := s.until(ctx, sub, pub, topic, 0)
	if err != nil {
		return finding{}, err
	}
	if len(got) > 0 {
		return wrong("%s: payload %q", fault, got[0].Payload), nil
	}
	return yes(""), nil
}

func retainNever(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("never")
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	if err := s.retain(ctx, k, topic, "kept"); err != nil {
		return finding{}, err
	}
	f := wire.SubscribeFilter{Filter: topic, RetainHandling: wire.DontSendRetained}
	if _, err := k.subscribe(ctx, &wire.Subscribe{Filters: []wire.SubscribeFilter{f}}); err != nil {
		return finding{}, err
	}
	return s.nothing(ctx, k, k, topic, "the retained message came [MQTT-3.3.1-11]")
}

func retainIfNew(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("if-new")
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	if err := s.retain(ctx, k, topic, "kept"); err != nil {
		return finding{}, err
	}
	f := wire.SubscribeFilter{Filter: topic, RetainHandling: wire.SendRetainedIfNew}
	if _, err := k.subscribe(ctx, &wire.Subscribe{Filters: []wire.SubscribeFilter{f}}); err != nil {
		return finding{}, err
	}
	if found, err := expectRetained(ctx, k, topic, "kept"); err != nil || found.answer != Yes {
		return found, err
	}
	if _, err := k.subscribe(ctx, &wire.Subscribe{Filters: []wire.SubscribeFilter{f}}); err != nil {
		return finding{}, err
	}
	return s.nothing(ctx, k, k, topic, "the retained message came again to a subscription that was there [MQTT-3.3.1-10]")
}

func retainAsPublished(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("as-published")
	for _, keep := range []bool{true, false} {
		sub, pub, err := s.pair(ctx, wire.SubscribeFilter{Filter: topic, RetainAsPublished: keep, RetainHandling: wire.DontSendRetained})
		if err != nil {
			return finding{}, err
		}
		if err := s.retain(ctx, pub, topic, "kept"); err != nil {
			return finding{}, err
		}
		m, err := sub.next(ctx)
		if err != nil {
			return finding{}, err
		}
		if m.Retain != keep {
			return wrong("with the option %t the retain flag was %t [MQTT-3.3.1-12] [MQTT-3.3.1-13]", keep, m.Retain), nil
		}
	}
	return yes(""), nil
}
