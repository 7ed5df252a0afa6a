package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func sessionTests() []test {
	return []test{
		{group: groupSessions, name: "session is resumed, with its messages", unless: all(needsMessages, needsQoS(1)), run: resume},
		{group: groupSessions, name: "messages expire", unless: all(needs5, needsQoS(1)), run: expire},
		{group: groupSessions, name: "will after a lost connection", unless: needsMessages, run: func(ctx context.Context, s *suite) (finding, error) {
			return will(ctx, s, 0, func(k *peer) { k.cut() })
		}},
		{group: groupSessions, name: "will waits for its delay", unless: needs5, run: func(ctx context.Context, s *suite) (finding, error) {
			return will(ctx, s, 1, func(k *peer) { k.cut() })
		}},
		{group: groupSessions, name: "will on request (DISCONNECT with will)", unless: needs5, run: func(ctx context.Context, s *suite) (finding, error) {
			return will(ctx, s, 0, func(k *peer) { k.disconnect(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill}) })
		}},
		{group: groupSessions, name: "no will after DISCONNECT", unless: needsMessages, run: noWill},
		{group: groupSessions, name: "longest session expiry", deep: true, unless: needs5, run: longestExpiry},
	}
}

// kept asks for a session that outlives its connection.
func (s *suite) kept(p *wire.Connect) {
	if s.version == wire.V5 {
		p.SessionExpiryInterval = 60
	} else {
		p.CleanStart = false
	}
}

// absent opens a session with a subscription to topic and leaves it without a connection.
func absent(ctx context.Context, s *suite, topic string) (clientID string, err error) {
	k, _, err := s.connect(ctx, s.kept)
	if err != nil {
		return "", err
	}
	if err := k.filter(ctx, topic, 1); err != nil {
		return "", err
	}
	k.disconnect(&wire.Disconnect{})
	return k.clientID, nil
}

// back returns to a session.
func back(ctx context.Context, s *suite, clientID string) (*peer, *wire.Connack, error) {
	return s.connect(ctx, func(p *wire.Connect) {
		s.kept(p)
		p.ClientID, p.CleanStart = clientID, false
	})
}

func resume(ctx context.Context, s *suite) (finding, error) {
	const n = 3
	topic := s.topic("session")
	id, err := absent(ctx, s, topic)
	if err != nil {
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
	k, ack, err := back(ctx, s, id)
	if err != nil {
		return finding{}, err
	}
	if !ack.SessionPresent && s.version > wire.V31 {
		return no("the server has not kept the session"), nil
	}
	got, err := s.until(ctx, k, pub, topic, 1)
	if err != nil {
		return finding{}, err
	}
	if len(got) != n {
		return no(fmt.Sprintf("of %d messages that were published meanwhile, %d came", n, len(got))), nil
	}
	for i, m := range got {
		if string(m.Payload) != fmt.Sprint(i) {
			return wrong("message %s came in place %d", m.Payload, i), nil
		}
	}
	return yes("").with("%d messages at QoS 1, in order", n), nil
}

// expire publishes two messages to a session without a connection, waits until one has
// expired, and looks at what comes.
func expire(ctx context.Context, s *suite) (finding, error) {
	const short, long = 1, 60
	topic := s.topic("expiry")
	id, err := absent(ctx, s, topic)
	if err != nil {
		return finding{}, err
	}
	pub, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	for _, interval := range []uint32{short, long} {
		m := &wire.Publish{Topic: topic, Payload: fmt.Append(nil, interval), QoS: 1, Properties: &wire.PublishProperties{MessageExpiryInterval: &interval}}
		if _, err := pub.publish(ctx, m); err != nil {
			return finding{}, err
		}
	}
	select {
	case <-time.After(short*time.Second + 1200*time.Millisecond): // some servers look once a second
	case <-ctx.Done():
		return finding{}, context.Cause(ctx)
	}
	k, _, err := back(ctx, s, id)
	if err != nil {
		return finding{}, err
	}
	got, err := s.until(ctx, k, pub, topic, 1)
	if err != nil {
		return finding{}, err
	}
	if len(got) == 2 {
		return wrong("a message with an expiry of 1 s came more than 2 s later [MQTT-3.3.2-5]"), nil
	}
	if len(got) != 1 || string(got[0].Payload) != fmt.Sprint(long) {
		return no(fmt.Sprintf("a message that has not expired did not come; %d came", len(got))), nil
	}
	p := got[0].Properties
	if p == nil || p.MessageExpiryInterval == nil {
		return wrong("the interval that was left did not come with the message [MQTT-3.3.2-6]"), nil
	}
	if left := *p.MessageExpiryInterval; left > long-2 {
		return wrong("the interval came as %d s, after 2 s of %d [MQTT-3.3.2-6]", left, long), nil
	}
	return yes("").with("what is left comes with the message: %d of %d s", *p.MessageExpiryInterval, long), nil
}

// will ends a connection in a way that publishes its will, which is due after delay
// seconds.
func will(ctx context.Context, s *suite, delay uint32, end func(*peer)) (finding, error) {
	topic := s.topic(fmt.Sprintf("will%d", s.count)) // of its own for each check
	observer, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	if err := observer.filter(ctx, topic, 0); err != nil {
		return finding{}, err
	}
	k, _, err := s.connect(ctx, func(p *wire.Connect) {
		p.Will = &wire.Will{Topic: topic, Payload: []byte("will"), DelayInterval: delay}
		if delay > 0 {
			s.kept(p) // the will is due at the end of the session, if that comes first
		}
	})
	if err != nil {
		return finding{}, err
	}
	start := time.Now()
	end(k)
	m, err := observer.next(ctx)
	took := time.Since(start)
	switch {
	case errors.Is(err, errSlow):
		return no("the will did not come"), nil
	case err != nil:
		return finding{}, err
	case string(m.Payload) != "will":
		return wrong("another message came: payload %q", m.Payload), nil
	case took < time.Duration(delay)*time.Second*9/10: // servers may count whole seconds of a clock
		return wrong("the will came after %.1f s, with a delay of %d s [MQTT-3.1.2-8]", took.Seconds(), delay), nil
	}
	return yes(fmt.Sprintf("after %.1f s", took.Seconds())), nil
}

func noWill(ctx context.Context, s *suite) (finding, error) {
	topic := s.topic("no-will")
	sub, pub, err := s.pair(ctx, wire.SubscribeFilter{Filter: topic})
	if err != nil {
		return finding{}, err
	}
	k, _, err := s.connect(ctx, func(p *wire.Connect) { p.Will = &wire.Will{Topic: topic, Payload: []byte("will")} })
	if err != nil {
		return finding{}, err
	}
	k.disconnect(&wire.Disconnect{})
	return s.nothing(ctx, sub, pub, topic, "the will came [MQTT-3.1.2-10]")
}

func longestExpiry(ctx context.Context, s *suite) (finding, error) {
	const never = 0xFFFFFFFF
	k, ack, err := s.connect(ctx, func(p *wire.Connect) { p.SessionExpiryInterval = never })
	if err != nil {
		return no(err.Error()), nil
	}
	k.disconnect(&wire.Disconnect{SessionExpiryInterval: new(uint32)}) // it ends here
	if ack.SessionExpiryInterval == nil || *ack.SessionExpiryInterval == never {
		return text("never expires"), nil
	}
	return figure(int64(*ack.SessionExpiryInterval), "s"), nil
}
