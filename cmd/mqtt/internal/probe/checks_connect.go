package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// The groups of checks, in the order of the result.
const (
	groupProtocol  = "protocol"
	groupAnnounced = "announced"
	groupMessages  = "messages"
	groupRetained  = "retained messages"
	groupFilters   = "subscriptions"
	groupSessions  = "sessions"
	groupLimits    = "limits"
)

// versionTests try each version, the highest first, and the mark of a bridge.
func versionTests() (list []test) {
	for _, v := range []wire.Version{wire.V5, wire.V311, wire.V31} {
		list = append(list, test{group: groupProtocol, name: "MQTT " + v.String(), run: func(ctx context.Context, s *suite) (finding, error) {
			_, ack, err := s.connectAs(ctx, v, func(p *wire.Connect) { ask(p, v) })
			f, err := accepted(err)
			if f.answer == Yes && s.announced == nil && (s.dialer.cfg.Version == 0 || s.dialer.cfg.Version == v) {
				s.version, s.announced = v, ack
				s.qos = wire.ExactlyOnce
				if ack.MaximumQoS != nil {
					s.qos = *ack.MaximumQoS
				}
			}
			return f, err
		}})
	}
	for _, v := range []wire.Version{wire.V311, wire.V31} {
		list = append(list, test{group: groupProtocol, name: fmt.Sprintf("MQTT %s as a bridge", v), run: func(ctx context.Context, s *suite) (finding, error) {
			_, _, err := s.connectAs(ctx, v, func(p *wire.Connect) { p.Bridge = true })
			return accepted(err)
		}})
	}
	return list
}

// askedExpiry is the session expiry interval that the first connection asks for.
const askedExpiry = time.Hour

// ask requests all that CONNACK can announce. The session ends with DISCONNECT.
func ask(p *wire.Connect, v wire.Version) {
	if v == wire.V5 {
		p.SessionExpiryInterval = uint32(askedExpiry / time.Second)
		p.RequestResponseInformation = true
		p.KeepAlive = 3600
	}
}

// accepted makes a finding of how an attempt to connect has ended.
func accepted(err error) (finding, error) {
	if err == nil {
		return yes(""), nil
	}
	if _, ok := errors.AsType[*refusedError](err); ok {
		return no(err.Error()), nil
	}
	if _, ok := errors.AsType[*goneError](err); ok {
		return no(err.Error()), nil
	}
	return finding{}, err
}

// announcedTests show what CONNACK of 5.0 has said.
func announcedTests() []test {
	row := func(name string, of func(*wire.Connack) finding) test {
		return test{group: groupAnnounced, name: name, unless: func(s *suite) string {
			if s.version < wire.V5 {
				return "needs MQTT 5.0"
			}
			return ""
		}, run: func(_ context.Context, s *suite) (finding, error) {
			return of(s.announced), nil
		}}
	}
	offer := func(name string, of func(*wire.Connack) *bool) test {
		return row(name, func(a *wire.Connack) finding {
			if available(of(a)) {
				return yes("")
			}
			return no("")
		})
	}
	return []test{
		row("receive maximum", func(a *wire.Connack) finding {
			if a.ReceiveMaximum == 0 {
				return figure(65535, "").with("the default")
			}
			return figure(int64(a.ReceiveMaximum), "")
		}),
		row("maximum QoS", func(a *wire.Connack) finding {
			if a.MaximumQoS == nil {
				return figure(2, "").with("the default")
			}
			return figure(int64(*a.MaximumQoS), "")
		}),
		row("maximum packet size", func(a *wire.Connack) finding {
			if a.MaximumPacketSize == 0 {
				return text("no limit")
			}
			return figure(int64(a.MaximumPacketSize), "bytes")
		}),
		row("topic alias maximum", func(a *wire.Connack) finding { return figure(int64(a.TopicAliasMaximum), "") }),
		offer("retained messages", func(a *wire.Connack) *bool { return a.RetainAvailable }),
		offer("wildcard subscriptions", func(a *wire.Connack) *bool { return a.WildcardSubscriptionAvailable }),
		offer("shared subscriptions", func(a *wire.Connack) *bool { return a.SharedSubscriptionAvailable }),
		offer("subscription identifiers", func(a *wire.Connack) *bool { return a.SubscriptionIDAvailable }),
		row("session expiry granted", func(a *wire.Connack) finding {
			if a.SessionExpiryInterval == nil {
				return figure(int64(askedExpiry/time.Second), "s").with("as asked for")
			}
			return figure(int64(*a.SessionExpiryInterval), "s").with("%d s were asked for", int64(askedExpiry/time.Second))
		}),
		row("server keep-alive", func(a *wire.Connack) finding {
			if a.ServerKeepAlive == nil {
				return text("as the client asks").with("3600 s were asked for")
			}
			return figure(int64(*a.ServerKeepAlive), "s").with("3600 s were asked for")
		}),
		row("response information", func(a *wire.Connack) finding {
			if a.ResponseInformation == "" {
				return text("none")
			}
			return text(a.ResponseInformation)
		}),
		row("reason string", func(a *wire.Connack) finding {
			if a.ReasonString == "" {
				return text("none")
			}
			return text(a.ReasonString)
		}),
		row("user properties", func(a *wire.Connack) finding {
			if len(a.UserProperties) == 0 {
				return text("none")
			}
			return text(fmt.Sprint(a.UserProperties))
		}),
	}
}

// identifierTests are about client identifiers.
func identifierTests() []test {
	return []test{
		{group: groupProtocol, name: "round trip of PINGREQ", run: func(ctx context.Context, s *suite) (finding, error) {
			k, _, err := s.connect(ctx, nil)
			if err != nil {
				return finding{}, err
			}
			var times []time.Duration
			for range 5 {
				d, err := k.ping(ctx)
				if err != nil {
					return finding{}, err
				}
				times = append(times, d)
			}
			slices.Sort(times)
			f := figure(times[len(times)/2].Microseconds(), "µs")
			return f.with("median of %d; the fastest took %d µs", len(times), times[0].Microseconds()), nil
		}},
		{group: groupProtocol, name: "empty client identifier", run: func(ctx context.Context, s *suite) (finding, error) {
			if s.version == wire.V31 {
				return finding{}, untestedError("needs MQTT 3.1.1 or 5.0")
			}
			_, ack, err := s.connect(ctx, func(p *wire.Connect) { p.ClientID = "" })
			f, err := accepted(err)
			if f.answer != Yes || s.version < wire.V5 {
				return f, err
			}
			if ack.AssignedClientID == "" {
				return wrong("the server has not told the identifier that it has assigned [MQTT-3.2.2-16]"), nil
			}
			return yes("").with("the server has assigned %q", ack.AssignedClientID), nil
		}},
		{group: groupProtocol, name: "take-over of a client identifier", run: takeOver},
		{group: groupProtocol, name: "keep-alive is enforced", deep: true, run: func(ctx context.Context, s *suite) (finding, error) {
			k, ack, err := s.connect(ctx, func(p *wire.Connect) { p.KeepAlive = 1 })
			if err != nil {
				return finding{}, err
			}
			if ack.ServerKeepAlive != nil && *ack.ServerKeepAlive > 1 {
				return finding{}, untestedError(fmt.Sprintf("the server has set the keep-alive to %d s", *ack.ServerKeepAlive))
			}
			start := time.Now()
			err = k.gone(ctx)
			if errors.Is(err, errSlow) {
				// [MQTT-3.1.2-22] after one and a half times the interval.
				return wrong("the server keeps a connection that has been silent for %.1f s, with a keep-alive of 1 s", time.Since(start).Seconds()), nil
			}
			return yes(fmt.Sprintf("after %.1f s", time.Since(start).Seconds())).with("%v; the keep-alive was 1 s", err), nil
		}},
	}
}

func takeOver(ctx context.Context, s *suite) (finding, error) {
	first, _, err := s.connect(ctx, nil)
	if err != nil {
		return finding{}, err
	}
	second, _, err := s.connect(ctx, func(p *wire.Connect) { p.ClientID = first.clientID })
	if err != nil {
		return no(err.Error()).with("the second connection: %v", err), nil
	}
	// [MQTT-3.1.4-3] the server closes the first connection.
	err = first.gone(ctx)
	switch {
	case errors.Is(err, errSlow):
		return wrong("both connections with one client identifier stay"), nil
	case s.version == wire.V5 && !errors.Is(err, wire.SessionTakenOver):
		return yes("").with("without the reason Session taken over: %v", err), nil
	}
	_, err = second.ping(ctx)
	return yes(""), err
}
