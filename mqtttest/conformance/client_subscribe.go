package conformance

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientSubscribe has the statements about SUBSCRIBE, UNSUBSCRIBE, their answers and
// filters.
func clientSubscribe() []clientCheck {
	return slices.Concat(clientSubscribeSends(), clientSubscribeLimits(), clientSuback(), clientUnsubscribe(), clientFilters())
}

// subscribes returns an operation.
func subscribes(filters ...string) Operation {
	op := Operation{Op: "subscribe"}
	for _, f := range filters {
		op.Filters = append(op.Filters, Filter{Filter: f})
	}
	return op
}

func clientSubscribeSends() []clientCheck {
	return []clientCheck{
		refuses("no-filter", ids("MQTT-3.8.3-3"), ids("MQTT-3.8.3-2"), "SUBSCRIBE has at least one filter", subscribes()),
		refuses("filter-text", ids("MQTT-3.8.3-1"), ids("MQTT-3.8.3-1"), "filters are UTF-8 strings",
			Operation{Op: "subscribe", Filters: []Filter{{FilterBase64: []byte{0xFF}}}}),
		refuses("subscribe-qos-3", ids("MQTT-3.8.3-4"), ids("§3.8.3.1"), "the QoS of a subscription is 0, 1 or 2",
			Operation{Op: "subscribe", Filters: []Filter{{Filter: "a", QoS: 3}}}),
		refuses("retain-handling-3", nil, ids("§3.8.3.1"), "Retain Handling is 0, 1 or 2",
			Operation{Op: "subscribe", Filters: []Filter{{Filter: "a", RetainHandling: 3}}}),
		refuses("no-local-shared", nil, ids("MQTT-3.8.3-4"), "No Local is not set for a shared filter",
			Operation{Op: "subscribe", Filters: []Filter{{Filter: "$share/g/a", NoLocal: true}}}),
		rule("subscribe-options", nil, ids("MQTT-3.8.3-3", "MQTT-3.8.3-5", "§3.8.3.1"),
			"the options of a filter are sent as the program gives them, and reserved bits are 0",
			func(s *script) {
				p := s.open()
				op := Operation{Op: "subscribe", Filters: []Filter{
					{Filter: s.topic("1"), QoS: 1, NoLocal: true}, {Filter: s.topic("2"), RetainAsPublished: true}, {Filter: s.topic("3"), QoS: 2, RetainHandling: 2},
				}}
				c := s.begin(op)
				packet := want[*wire.Subscribe](p)
				for len(packet.Filters) < 3 {
					s.remark("one SUBSCRIBE for each filter")
					p.send(granted(packet))
					packet.Filters = append(packet.Filters, want[*wire.Subscribe](p).Filters...)
				}
				p.send(granted(packet))
				c.wait()
				for i, f := range packet.Filters {
					asked := op.Filters[i]
					if f != (wire.SubscribeFilter{
						Filter: asked.Filter, QoS: wire.QoS(asked.QoS), NoLocal: asked.NoLocal,
						RetainAsPublished: asked.RetainAsPublished, RetainHandling: wire.RetainHandling(asked.RetainHandling),
					}) {
						s.fails("filter %d is sent as %+v", i+1, f)
					}
				}
			}),
		rule("subscribe-options-before-5", ids("MQTT-3.8.3-4"), nil,
			"before 5.0 bits 7 to 2 of the QoS byte are 0",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "subscribe", Filters: []Filter{{Filter: s.topic("a"), QoS: 1, RetainAsPublished: true}}})
				select {
				case a := <-c.answer:
					c.take(a)
				case f := <-p.frames.out:
					if f.packet == nil {
						s.fails("the client sends %v", f)
					}
				}
			}),
		rule("several-filters", ids("§3.8.3"), ids("§3.8.3"),
			"a SUBSCRIBE may have several filters, and the order of the codes is theirs",
			func(s *script) {
				p := s.open()
				c := s.begin(subscribeTo("a", "b", "c")(s))
				packet := want[*wire.Subscribe](p)
				if len(packet.Filters) != 3 {
					s.end(Cannot, "the library sends one filter in each SUBSCRIBE")
				}
				answers := map[string]wire.ReasonCode{s.topic("a"): 2, s.topic("b"): wire.UnspecifiedError, s.topic("c"): 0}
				ack := &wire.Suback{PacketID: packet.PacketID}
				for _, f := range packet.Filters { // in which order is the library's affair
					ack.ReasonCodes = append(ack.ReasonCodes, answers[f.Filter])
				}
				p.send(ack)
				switch a := c.wait(); {
				case slices.Equal(a.Codes, []int{2, int(wire.UnspecifiedError), 0}):
				case len(a.Codes) == 3:
					s.fails("the program sees the codes %v", a.Codes)
				default:
					s.remark("the program sees the codes %v", a.Codes)
				}
				p.alive()
			}),
	}
}

func clientSubscribeLimits() []clientCheck {
	// unavailable makes a check of what the server has said that it does not have.
	unavailable := func(name, number, text string, ack *wire.Connack, op Operation) clientCheck {
		return rule(name, nil, ids(number), text, func(s *script) {
			p := s.dial(s.connect(), ack)
			c := s.begin(op)
			select {
			case a := <-c.answer:
				if a = c.take(a); a.OK {
					s.remark("reports no error")
				}
				p.alive()
			case f := <-p.frames.out:
				packet, ok := f.packet.(*wire.Subscribe)
				if op.Identifier == 0 || !ok || packet.SubscriptionID != 0 {
					s.advised("the client sends %v", f)
				}
				p.send(granted(packet))
				c.wait()
			}
		})
	}
	op := subscribes("a")
	op.Identifier = 7
	return []clientCheck{
		unavailable("no-identifiers", "§3.2.2.3.12", "no Subscription Identifier is sent where the server has none",
			&wire.Connack{SubscriptionIDAvailable: new(false)}, op),
		unavailable("no-wildcards", "§3.2.2.3.11", "no wildcard filter is sent where the server has none",
			&wire.Connack{WildcardSubscriptionAvailable: new(false)}, subscribes("a/#")),
		unavailable("no-shared", "§3.2.2.3.13", "no shared filter is sent where the server has none",
			&wire.Connack{SharedSubscriptionAvailable: new(false)}, subscribes("$share/g/a")),
	}
}

func clientSuback() []clientCheck {
	return []clientCheck{
		rule("message-before-suback", ids("MQTT-3.8.4-1"), ids("MQTT-3.8.4-1"),
			"messages may arrive before SUBACK",
			func(s *script) {
				p := s.open()
				c := s.begin(subscribeTo("#")(s))
				packet := want[*wire.Subscribe](p)
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 1, PacketID: 5}, granted(packet))
				want[*wire.Puback](p)
				c.succeeds()
				s.message("a")
			}),
		wrongAck("suback-count", ids("MQTT-3.8.4-5"), ids("MQTT-3.8.4-6"),
			"SUBACK has one code for each filter", subscribeTo("a", "b", "c"),
			packets{
				[]string{"two codes:90 04 IIII 00 00", "four codes:90 06 IIII 00 00 00 00", "none:90 02 IIII"},
				[]string{"two codes:90 05 IIII 00 00 00", "four codes:90 07 IIII 00 00 00 00 00", "none:90 03 IIII 00"},
			}, wire.ProtocolError, wire.MalformedPacket),
		wrongAck("suback-codes-listed", ids("MQTT-3.9.3-2"), ids("MQTT-3.9.3-2"),
			"SUBACK has only listed codes", subscribeTo("a"),
			packets{[]string{"0x03:90 03 IIII 03", "0x87:90 03 IIII 87"}, []string{"0x03:90 04 IIII 00 03", "0x8E:90 04 IIII 00 8E"}},
			wire.ProtocolError, wire.MalformedPacket),
		rule("suback-codes", ids("MQTT-3.9.3-1"), ids("MQTT-3.9.3-1", "MQTT-3.8.4-7"),
			"the program sees the code of a filter: a QoS lower than asked for, or a failure",
			func(s *script) {
				p := s.open()
				codes := []wire.ReasonCode{0, 1, 2, wire.UnspecifiedError}
				if s.v5() {
					codes = append(codes, wire.NotAuthorized, wire.TopicFilterInvalid, wire.QuotaExceeded)
				}
				for _, code := range codes {
					c := s.begin(subscribeTo("a")(s))
					packet := want[*wire.Subscribe](p)
					p.send(&wire.Suback{PacketID: packet.PacketID, ReasonCodes: []wire.ReasonCode{code}})
					a := c.wait()
					if a.OK && code.Failed() && len(a.Codes) == 0 {
						s.fails("subscribe reports success after 0x%02X", byte(code))
					}
					if !slices.Equal(a.Codes, []int{int(code)}) && a.Code != int(code) {
						s.remark("the program does not see 0x%02X", byte(code))
					}
				}
			}),
		unseen("subscribe-again", ids("§4.1"), ids("§4.1"),
			"subscriptions live in the server's session", "a library may subscribe again or not"),
	}
}

func clientUnsubscribe() []clientCheck {
	return []clientCheck{
		refuses("unsubscribe-no-filter", ids("MQTT-3.10.3-2"), ids("MQTT-3.10.3-2"), "UNSUBSCRIBE has at least one filter",
			Operation{Op: "unsubscribe"}),
		rule("unsubscribe-filters", ids("MQTT-3.10.3-1", "MQTT-3.10.4-1"), ids("MQTT-3.10.3-1", "MQTT-3.10.4-1"),
			"the filters of UNSUBSCRIBE are those of the program, byte for byte",
			func(s *script) {
				p := s.open()
				filters := []string{s.topic("a"), "$share/g/" + s.topic("b")}
				c := s.begin(Operation{Op: "unsubscribe", Filters: []Filter{{Filter: filters[0]}, {Filter: filters[1]}}})
				packet := want[*wire.Unsubscribe](p)
				p.send(ungranted(packet))
				if len(packet.Filters) == 1 {
					s.remark("one UNSUBSCRIBE for each filter")
					next := want[*wire.Unsubscribe](p)
					p.send(ungranted(next))
					packet.Filters = append(packet.Filters, next.Filters...)
				}
				c.wait()
				if !slices.Equal(packet.Filters, filters) {
					s.fails("the filters are %q", packet.Filters)
				}
			}),
		rule("no-subscription-existed", ids("MQTT-3.10.4-4", "MQTT-3.10.4-5"), ids("MQTT-3.10.4-4", "MQTT-3.10.4-5"),
			"UNSUBACK comes even if nothing matched, and is a success",
			func(s *script) {
				p := s.open()
				c := s.begin(unsubscribeFrom("a")(s))
				packet := want[*wire.Unsubscribe](p)
				p.send(&wire.Unsuback{PacketID: packet.PacketID, ReasonCodes: []wire.ReasonCode{wire.NoSubscriptionExisted}})
				if a := c.succeeds(); s.v5() && !slices.Equal(a.Codes, []int{0x11}) {
					s.remark("the program does not see 0x11")
				}
			}),
		wrongAck("unsuback-count", nil, ids("MQTT-3.11.3-1"),
			"UNSUBACK has one code for each filter", unsubscribeFrom("a", "b"),
			packets{nil, []string{"one code:B0 04 IIII 00 00", "three codes:B0 06 IIII 00 00 00 00"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongAck("unsuback-codes-listed", nil, ids("MQTT-3.11.3-2"),
			"UNSUBACK has only listed codes", unsubscribeFrom("a"),
			packets{nil, []string{"B0 04 IIII 00 01"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongAck("unsuback-rest", ids("§3.11.3"), nil,
			"before 5.0 UNSUBACK has an identifier and nothing else", unsubscribeFrom("a"),
			packets{[]string{"B0 03 IIII 00"}, nil}),
		rule("after-unsubscribe", ids("MQTT-3.10.4-2", "MQTT-3.10.4-3"), ids("MQTT-3.10.4-2", "MQTT-3.10.4-3"),
			"messages that are under way arrive after UNSUBSCRIBE, and their exchanges end",
			func(s *script) {
				p := s.listening()
				c := s.begin(unsubscribeFrom("#")(s))
				packet := want[*wire.Unsubscribe](p)
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 2, PacketID: 5})
				want[*wire.Pubrec](p)
				p.send(ungranted(packet), &wire.Pubrel{PacketID: 5})
				want[*wire.Pubcomp](p)
				c.succeeds()
			}),
	}
}

func clientFilters() []clientCheck {
	var legal []Filter
	for _, f := range []string{"#", "+", "+/+", "/+", "a/#", "+/#", "a/+/b", "/", "//", "a/", "a b", "$SYS/#"} {
		legal = append(legal, Filter{Filter: f})
	}
	return []clientCheck{
		refuses("multi-level-wildcard", ids("MQTT-4.7.1-2"), ids("MQTT-4.7.1-1"),
			"# stands alone or after a slash, and is the last character",
			subscribes("a#"), subscribes("a/#/b"), subscribes("##")),
		refuses("single-level-wildcard", ids("MQTT-4.7.1-3"), ids("MQTT-4.7.1-2"),
			"+ fills a whole level",
			subscribes("a+"), subscribes("+a"), subscribes("a/+b/c")),
		refuses("empty-filter", ids("MQTT-4.7.3-1"), ids("MQTT-4.7.3-1"), "a filter has at least one character", subscribes("")),
		refuses("share-name", nil, ids("MQTT-4.8.2-1", "MQTT-4.8.2-2"),
			"a shared filter has a name of at least one character without wildcards, then a slash and a filter",
			subscribes("$share//a"), subscribes("$share/g"), subscribes("$share/g+/a"), subscribes("$share/g/")),
		rule("legal-filters", ids("MQTT-4.7.1-2", "MQTT-4.7.1-3"), ids("MQTT-4.7.1-1", "MQTT-4.7.1-2", "§4.7.3"),
			"all legal filters can be subscribed to",
			func(s *script) {
				p := s.open()
				for _, f := range legal {
					c := s.begin(Operation{Op: "subscribe", Filters: []Filter{f}})
					packet := want[*wire.Subscribe](p)
					if packet.Filters[0].Filter != f.Filter {
						s.fails("%q is sent as %q", f.Filter, packet.Filters[0].Filter)
					}
					p.send(granted(packet))
					c.succeeds()
				}
			}),
		rule("legal-topics", ids("MQTT-4.7.3-4"), ids("MQTT-4.7.3-4", "§4.7.3"),
			"topics are sent and reported byte for byte: slashes, blanks, case, composed and decomposed letters",
			func(s *script) {
				p := s.open()
				s.subscribe(p, "#", 0)
				for _, topic := range []string{"/", "a/", "//", "A/b", "a b", "\u00e9", "e\u0301", " "} {
					c := s.begin(Operation{Op: "publish", Topic: topic, Wait: true})
					if packet := want[*wire.Publish](p); packet.Topic != topic {
						s.fails("%q is sent as %q", topic, packet.Topic)
					}
					c.succeeds()
					p.send(&wire.Publish{Topic: topic})
					if e := s.event("message"); e.Topic != topic {
						s.fails("%q is reported as %q", topic, e.Topic)
					}
				}
			}),
		rule("shared-match", nil, ids("§4.8.2"),
			"messages of a shared subscription match the filter behind its name",
			func(s *script) {
				p := s.open()
				s.subscribe(p, "$share/g/"+s.topic("+"), 1)
				p.send(&wire.Publish{Topic: s.topic("a"), QoS: 1, PacketID: 5})
				want[*wire.Puback](p)
				s.message("a")
			}),
		unseen("dollar-topics", ids("MQTT-4.7.2-1"), ids("MQTT-4.7.2-1"),
			"a filter that begins with a wildcard does not match topics that begin with $",
			"the line protocol does not say which filter a message was for"),
	}
}
