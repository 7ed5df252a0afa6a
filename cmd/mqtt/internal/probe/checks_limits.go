package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// searchTime is how many times the usual time a search for a limit may take.
const searchTime = 6

func limitTests() []test {
	return []test{
		{group: groupLimits, name: "largest payload", long: searchTime, unless: needsMessages, run: largestPayload},
		{group: groupLimits, name: "longest topic", long: searchTime, unless: needsMessages, run: func(ctx context.Context, s *suite) (finding, error) {
			return s.search(ctx, s.options.MaxTopic, len(s.topic("x")), "bytes", "--max-topic", func(n int) (string, []byte) {
				return padded(s.topic(""), n), []byte("probe")
			})
		}},
		{group: groupLimits, name: "most levels of a topic", long: searchTime, deep: true, unless: needsMessages, run: func(ctx context.Context, s *suite) (finding, error) {
			base := strings.Count(s.topic(""), "/")
			return s.search(ctx, min(s.options.MaxTopic/2, 1000), base+1, "levels", "--max-topic", func(n int) (string, []byte) {
				return s.topic("") + strings.Repeat("/", n-base-1), []byte("probe")
			})
		}},
		{group: groupLimits, name: "most filters in one SUBSCRIBE", long: searchTime, unless: needsMessages, run: mostFilters},
		{group: groupLimits, name: "longest client identifier", long: searchTime, deep: true, run: longestIdentifier},
		{group: groupLimits, name: "a packet above the announced maximum", deep: true, unless: all(needs5, func(s *suite) string {
			if s.announced.MaximumPacketSize == 0 {
				return "the server has announced no maximum"
			}
			if int(s.announced.MaximumPacketSize) > 16<<20 {
				return "the announced maximum is above 16 MiB"
			}
			return ""
		}), run: aboveMaximum},
	}
}

// padded makes a text that begins with prefix and has n bytes.
func padded(prefix string, n int) string { return prefix + strings.Repeat("x", max(0, n-len(prefix))) }

// bisect returns the largest n up to most for which works returns true, and whether that
// is most itself. It tries most first. Below least everything is taken to work.
func bisect(least, most int, works func(n int) (bool, error)) (n int, whole bool, err error) {
	if ok, err := works(most); err != nil || ok {
		return most, ok, err
	}
	for low, high := least, most; ; {
		if high-low <= 1 {
			return low, false, nil
		}
		middle := low + (high-low)/2
		ok, err := works(middle)
		if err != nil {
			return 0, false, err
		}
		if ok {
			low = middle
		} else {
			high = middle
		}
	}
}

// limitFinding says what bisect has found.
func limitFinding(n int, whole bool, unit, option, why string) finding {
	f := figure(int64(n), unit)
	if whole {
		f.value = "at least " + f.value
		return f.with("not tried beyond, see %s", option)
	}
	return f.with("beyond: %s", why)
}

// search looks for the largest message that arrives.
func (s *suite) search(ctx context.Context, most, least int, unit, option string, message func(n int) (topic string, payload []byte)) (finding, error) {
	if most < least {
		return finding{}, untestedError(fmt.Sprintf("the prefix of the topics has more %s than %s allows", unit, option))
	}
	why := ""
	var k *peer
	n, whole, err := bisect(least, most, func(n int) (bool, error) {
		if k == nil || !k.alive() {
			var err error
			if k, _, err = s.connect(ctx, nil); err != nil {
				return false, err
			}
		}
		topic, payload := message(n)
		ok, reason, err := s.arrives(ctx, k, topic, payload)
		if !ok {
			why = reason
			// The server may be about to hang up, and what comes late must not be taken
			// for the next message.
			k.cut()
		}
		return ok, err
	})
	if err != nil {
		return finding{}, err
	}
	return limitFinding(n, whole, unit, option, why), nil
}

// arrives publishes a message of a client to itself. An error means that the search cannot
// go on.
func (s *suite) arrives(ctx context.Context, k *peer, topic string, payload []byte) (ok bool, why string, err error) {
	if ctx.Err() != nil {
		return false, "", context.Cause(ctx)
	}
	try, cancel := context.WithTimeoutCause(ctx, s.options.Timeout, errSlow)
	defer cancel()
	verdict := func(err error) (bool, string, error) {
		if err == nil {
			return true, "", nil
		}
		if ctx.Err() != nil {
			return false, "", context.Cause(ctx)
		}
		if errors.Is(err, errSlow) {
			return false, "the message did not arrive", nil
		}
		return false, err.Error(), nil
	}
	if err := k.filter(try, topic, s.acknowledged()); err != nil {
		return verdict(err)
	}
	if _, err := k.publish(try, &wire.Publish{Topic: topic, Payload: payload, QoS: s.acknowledged()}); err != nil {
		return verdict(err)
	}
	// What the server drops without a word is known by the next message, which is small.
	got, err := s.until(try, k, k, topic, s.acknowledged())
	if err == nil {
		_, err = k.unsubscribe(try, topic)
	}
	if err == nil && len(got) == 0 {
		return false, "the server drops the message", nil
	}
	return verdict(err)
}

func largestPayload(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("payload")
	most, note := s.options.MaxPayload, ""
	if maximum := int(s.announced.MaximumPacketSize); maximum > 0 {
		if fits := payloadWithin(topic, s.acknowledged(), maximum); fits < most {
			most, note = max(0, fits), fmt.Sprintf("as much as fits into the announced maximum packet size of %d bytes", maximum)
		}
	}
	f, err := s.search(ctx, most, 0, "bytes", "--max-payload", func(n int) (string, []byte) { return topic, make([]byte, n) })
	if err != nil || f.number == nil || note == "" {
		return f, err
	}
	if *f.number < int64(most) {
		return wrong("payloads of more than %d bytes do not arrive, and %d fit into the announced maximum packet size (%s)", *f.number, most, f.note), nil
	}
	g := figure(*f.number, "bytes")
	return g.with("%s", note), nil
}

// payloadWithin returns the largest payload of a packet of at most size bytes.
func payloadWithin(topic string, qos wire.QoS, size int) int {
	m := wire.Publish{Topic: topic, QoS: qos, PacketID: uint16(qos)}
	n := max(0, size-m.Size(wire.V5))
	for ; n > 0; n-- { // the length itself takes one to four bytes
		if m.Payload = make([]byte, n); m.Size(wire.V5) <= size {
			break
		}
	}
	return n
}

func mostFilters(ctx context.Context, s *suite) (finding, error) {
	why := ""
	var k *peer
	n, whole, err := bisect(1, max(1, s.options.MaxFilters), func(n int) (bool, error) {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if k == nil || !k.alive() {
			var err error
			if k, _, err = s.connect(ctx, nil); err != nil {
				return false, err
			}
		}
		p := &wire.Subscribe{}
		var names []string
		for i := range n {
			name := s.topic(fmt.Sprintf("filter/%d", i))
			names = append(names, name)
			p.Filters = append(p.Filters, wire.SubscribeFilter{Filter: name})
		}
		if maximum := int(s.announced.MaximumPacketSize); maximum > 0 && p.Size(s.version) > maximum {
			why = "the packet would be larger than the announced maximum"
			return false, nil
		}
		try, cancel := context.WithTimeoutCause(ctx, s.options.Timeout, errSlow)
		defer cancel()
		_, err := k.subscribe(try, p)
		if err == nil {
			_, err = k.unsubscribe(try, names...)
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if err != nil {
			why = err.Error()
			k.cut()
		}
		return err == nil, nil
	})
	if err != nil {
		return finding{}, err
	}
	return limitFinding(n, whole, "filters", "--max-filters", why), nil
}

func longestIdentifier(ctx context.Context, s *suite) (finding, error) {
	why := ""
	prefix := s.clientID()
	n, whole, err := bisect(len(prefix), 1024, func(n int) (bool, error) {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		k, _, err := s.connect(ctx, func(p *wire.Connect) { p.ClientID = padded(prefix, n) })
		if err == nil {
			k.disconnect(&wire.Disconnect{})
			return true, nil
		}
		if _, refused := errors.AsType[*refusedError](err); refused {
			why = err.Error()
			return false, nil
		}
		if _, gone := errors.AsType[*goneError](err); gone {
			why = err.Error()
			return false, nil
		}
		return false, err
	})
	if err != nil {
		return finding{}, err
	}
	f := limitFinding(n, whole, "characters", "", why)
	if whole {
		f.note = "not tried beyond"
	}
	return f, nil
}

// aboveMaximum sends a packet that the server has excluded.
func aboveMaximum(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("payload")
	k, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	_, err = k.publish(ctx, &wire.Publish{Topic: topic, Payload: make([]byte, s.announced.MaximumPacketSize), QoS: s.acknowledged()})
	if err == nil && s.acknowledged() == 0 {
		_, err = k.ping(ctx)
	}
	switch {
	case err == nil:
		return yes("accepted").with("the server takes packets above the maximum that it has announced"), nil
	case errors.Is(err, wire.PacketTooLarge):
		return no("refused with Packet too large"), nil
	}
	return no(err.Error()), nil
}
