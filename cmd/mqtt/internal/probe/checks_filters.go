package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func filterTests() []test {
	return []test{
		{group: groupFilters, name: "wildcard +", unless: all(needsMessages, needsWildcard), run: func(ctx context.Context, s *suite) (finding, error) {
			return matches(ctx, s, s.topic("plus/+/c"), s.topic("plus/b/c"), s.topic("plus/b/d"))
		}},
		{group: groupFilters, name: "wildcard #", unless: all(needsMessages, needsWildcard), run: func(ctx context.Context, s *suite) (finding, error) {
			return matches(ctx, s, s.topic("hash/#"), s.topic("hash"), s.topic("other"))
		}},
		{group: groupFilters, name: "no-local", unless: needs5, run: noLocal},
		{group: groupFilters, name: "subscription identifiers", unless: all(needs5, needsIDs), run: identifiers},
		{group: groupFilters, name: "copies of a message for overlapping filters", unless: all(needsMessages, needsWildcard), run: overlap},
		{group: groupFilters, name: "shared subscription", unless: all(needsMessages, needsShared), run: shared},
		{group: groupFilters, name: "codes of UNSUBACK", unless: needs5, run: unsubackCodes},
		{group: groupFilters, name: "the client's receive maximum is kept", unless: all(needs5, needsQoS(1)), run: receiveMaximum},
		{group: groupFilters, name: "the client's maximum packet size is kept", unless: needs5, run: packetSize},
		{group: groupFilters, name: "$SYS can be read", unless: needsWildcard, run: systemTopics},
	}
}

// matches subscribes to filter, and expects a message on the topic in and none on out.
func matches(ctx context.Context, s *suite, filter, in, out string) (finding, error) {
	sub, pub, err := s.pair(ctx, wire.SubscribeFilter{Filter: filter})
	if err != nil {
		return no(err.Error()), nil
	}
	for _, topic := range []string{out, in} {
		if _, err := pub.publish(ctx, &wire.Publish{Topic: topic, Payload: []byte("probe")}); err != nil {
			return finding{}, err
		}
	}
	got, err := s.until(ctx, sub, pub, in, 0)
	if err != nil {
		return finding{}, err
	}
	if len(got) != 1 || got[0].Topic != in {
		return wrong("%d messages came for a filter that matches one", len(got)), nil
	}
	return yes(""), nil
}

func noLocal(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("no-local")
	sub, pub, err := s.pair(ctx, wire.SubscribeFilter{Filter: topic, NoLocal: true})
	if err != nil {
		return finding{}, err
	}
	if _, err := sub.publish(ctx, &wire.Publish{Topic: topic, Payload: []byte("own")}); err != nil {
		return finding{}, err
	}
	if _, err := sub.ping(ctx); err != nil { // the server has taken it
		return finding{}, err
	}
	return s.nothing(ctx, sub, pub, topic, "the client's own message came [MQTT-3.8.3-3]")
}

func identifiers(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("identified")
	sub, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	for _, id := range []uint32{1, 268_435_455} {
		p := &wire.Subscribe{Filters: []wire.SubscribeFilter{{Filter: topic}}, SubscriptionID: id}
		if _, err := sub.subscribe(ctx, p); err != nil {
			return no(err.Error()), nil
		}
		if _, err := sub.publish(ctx, &wire.Publish{Topic: topic, Payload: []byte("probe")}); err != nil {
			return finding{}, err
		}
		m, err := sub.next(ctx)
		if err != nil {
			return finding{}, err
		}
		if m.Properties == nil || !slices.Equal(m.Properties.SubscriptionIDs, []uint32{id}) {
			var got []uint32
			if m.Properties != nil {
				got = m.Properties.SubscriptionIDs
			}
			return wrong("the message came with the identifiers %v in place of %d [MQTT-3.3.4-3]", got, id), nil
		}
	}
	return yes(""), nil
}

// overlap counts what comes for three filters that match one topic. The specification
// leaves that to the server.
func overlap(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("overlap/a")
	sub, pub, err := s.pair(ctx, wire.SubscribeFilter{Filter: topic})
	if err != nil {
		return finding{}, err
	}
	for _, filter := range []string{s.topic("overlap/+"), s.topic("overlap/#")} {
		if err := sub.filter(ctx, filter, 0); err != nil {
			return finding{}, err
		}
	}
	if _, err := pub.publish(ctx, &wire.Publish{Topic: topic, Payload: []byte("probe")}); err != nil {
		return finding{}, err
	}
	got, err := s.until(ctx, sub, pub, topic, 0)
	if err != nil {
		return finding{}, err
	}
	n := 0
	for _, m := range got {
		if string(m.Payload) == "probe" {
			n++
		}
	}
	return figure(int64(n), "").with("of three filters that match"), nil
}

// shared gives two members of a group messages, and counts who gets what.
func shared(ctx context.Context, s *suite) (finding, error) {
	const n = 20
	topic := s.topic("shared")
	filter := fmt.Sprintf("$share/%s/%s", s.name, topic)
	var members []*peer
	for range 2 {
		k, _, err := s.connect(ctx, nil)
		if err != nil {
			return finding{}, err
		}
		if err := k.filter(ctx, filter, 0); err != nil {
			return no(err.Error()), nil
		}
		// A filter of its own for the mark.
		if err := k.filter(ctx, topic+"/end", 0); err != nil {
			return finding{}, err
		}
		members = append(members, k)
	}
	pub, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	for i := range n {
		if _, err := pub.publish(ctx, &wire.Publish{Topic: topic, Payload: fmt.Append(nil, i)}); err != nil {
			return finding{}, err
		}
	}
	seen := map[string]int{}
	var each []int
	for _, k := range members {
		got, err := s.until(ctx, k, pub, topic+"/end", 0)
		if err != nil {
			return finding{}, err
		}
		own := 0
		for _, m := range got {
			if m.Topic == topic {
				seen[string(m.Payload)]++
				own++
			}
		}
		each = append(each, own)
	}
	total := each[0] + each[1]
	switch {
	case total == 0 && s.version < wire.V5:
		return no("no member got anything; before 5.0 shared subscriptions are an extension"), nil
	case len(seen) < n:
		return wrong("of %d messages, %d came to the group", n, len(seen)), nil
	case total > n:
		return wrong("%d copies of %d messages came to the group", total, n), nil
	}
	return yes(fmt.Sprintf("%d + %d", each[0], each[1])).with("messages for each of two members"), nil
}

func unsubackCodes(ctx context.Context, s *suite) (finding, error) {
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	if err := k.filter(ctx, s.topic("there"), 0); err != nil {
		return finding{}, err
	}
	ack, err := k.unsubscribe(ctx, s.topic("there"), s.topic("not-there"))
	if err != nil {
		return finding{}, err
	}
	if !slices.Equal(ack.ReasonCodes, []wire.ReasonCode{wire.Success, wire.NoSubscriptionExisted}) {
		return no(fmt.Sprintf("for a subscription and for none the codes were %v", ack.ReasonCodes)), nil
	}
	return yes(""), nil
}

// receiveMaximum leaves messages without an acknowledgement, and counts what comes.
func receiveMaximum(ctx context.Context, s *suite) (finding, error) {
	const maximum, n = 2, 6
	topic := s.topic("receive-maximum")
	sub, _, err := s.connect(ctx, func(p *wire.Connect) { p.ReceiveMaximum = maximum })
	if err != nil {
		return finding{}, err
	}
	sub.mu.Lock()
	sub.holdAcks = true
	sub.mu.Unlock()
	if err := sub.filter(ctx, topic, 1); err != nil {
		return finding{}, err
	}
	pub, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	for i := range n {
		if _, err := pub.publish(ctx, &wire.Publish{Topic: topic, Payload: fmt.Append(nil, i), QoS: 1}); err != nil {
			return finding{}, err
		}
	}
	// No mark can tell the end: the server may hold up QoS 0, too.
	var got []*wire.Publish
	for range maximum {
		m, err := sub.next(ctx)
		if err != nil {
			return finding{}, err
		}
		got = append(got, m)
	}
	if _, err := sub.ping(ctx); err != nil {
		return finding{}, err
	}
	got = append(got, sub.rest(ctx)...)
	if len(got) > maximum {
		return wrong("%d messages came without an acknowledgement; the client's receive maximum was %d [MQTT-3.3.4-9]", len(got), maximum), nil
	}
	sub.mu.Lock()
	sub.holdAcks = false
	sub.mu.Unlock()
	for _, m := range got {
		sub.acknowledge(m)
	}
	for i := len(got); i < n; i++ {
		if _, err := sub.next(ctx); err != nil {
			return wrong("after the acknowledgements, message %d did not come: %v", i, err), nil
		}
	}
	return yes(""), nil
}

func packetSize(ctx context.Context, s *suite) (finding, error) {
	const maximum = 400
	if announced := s.announced.MaximumPacketSize; announced > 0 && announced < 3*maximum {
		return finding{}, untestedError(fmt.Sprintf("the server takes packets of %d bytes only", announced))
	}
	topic := s.topic("packet-size")
	sub, _, err := s.connect(ctx, func(p *wire.Connect) { p.MaximumPacketSize = maximum })
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
	if _, err := pub.publish(ctx, &wire.Publish{Topic: topic, Payload: make([]byte, 2*maximum)}); err != nil {
		return finding{}, err
	}
	got, err := s.until(ctx, sub, pub, topic, 0)
	if _, ended := errors.AsType[*goneError](err); ended && !sub.alive() {
		return wrong("the server ended the connection because of a message that is too large for the client: %v [MQTT-3.1.2-25]", err), nil
	}
	if err != nil {
		return finding{}, err
	}
	if len(got) > 0 {
		return wrong("a packet of more than %d bytes came, which the client had excluded [MQTT-3.1.2-24]", maximum), nil
	}
	return yes("").with("a message that is too large is left out, and the connection stays"), nil
}

func systemTopics(ctx context.Context, s *suite) (finding, error) {
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	if err := k.filter(ctx, "$SYS/#", 0); err != nil {
		return no(err.Error()), nil
	}
	// Servers send figures at once, or every few seconds.
	short, cancel := context.WithTimeout(ctx, min(s.options.Timeout/2, 3*time.Second))
	defer cancel()
	n, version := 0, ""
	for {
		m, err := k.next(short)
		if err != nil {
			break
		}
		n++
		if m.Topic == "$SYS/broker/version" {
			version = string(m.Payload)
		}
		if _, err := k.ping(short); err != nil { // what is retained has come before
			break
		}
		if more := k.waiting(); more == 0 {
			break
		}
	}
	switch {
	case n == 0:
		return no("no message came"), nil
	case version != "":
		return yes(version), nil
	}
	return yes(""), nil
}
