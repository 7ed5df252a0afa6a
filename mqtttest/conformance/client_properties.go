package conformance

import (
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// clientProperties has the statements about properties.
func clientProperties() []clientCheck {
	return slices.Concat(clientPropertyRules(), clientPropertyValues())
}

func clientPropertyRules() []clientCheck {
	return []clientCheck{
		wrong("property-unknown", nil, ids("§2.2.2.2"),
			"a property that is unknown, or that its packet does not have, makes the packet malformed",
			packets{nil, []string{
				"an unknown property in PUBLISH:30 06 0001 61 02 7F 00",
				"Reason String in PUBLISH:30 08 0001 61 04 1F 0001 61",
				"Topic Alias in DISCONNECT:E0 05 00 03 23 0001",
			}}, wire.MalformedPacket, wire.ProtocolError),
		wrongConnack("property-unknown-connack", nil, ids("§2.2.2.2"),
			"CONNACK has only the properties of CONNACK",
			packets{nil, []string{"Topic Alias:20 06 00 00 03 23 0001", "Message Expiry Interval:20 08 00 00 05 02 00000001", "an unknown one:20 05 00 00 02 7F 00"}},
			wire.MalformedPacket, wire.ProtocolError),
		wrongAck("property-unknown-suback", nil, ids("§2.2.2.2"),
			"SUBACK has only the properties of SUBACK", subscribeTo("a"),
			packets{nil, []string{"Subscription Identifier:90 06 IIII 02 0B 01 00"}}, wire.MalformedPacket, wire.ProtocolError),
		wrong("property-once-publish", nil, ids("§3.3.2.3"),
			"a property of PUBLISH may appear once, except User Property and Subscription Identifier",
			packets{nil, []string{
				"Message Expiry Interval:30 0E 0001 61 0A 02 00000001 02 00000001",
				"Content Type:30 0C 0001 61 08 03 0001 61 03 0001 61",
				"Response Topic:30 0C 0001 61 08 08 0001 61 08 0001 61",
				"Correlation Data:30 0C 0001 61 08 09 0001 61 09 0001 61",
			}}, wire.ProtocolError, wire.MalformedPacket),
		wrongConnack("property-once-connack", nil, ids("§3.2.2.3"),
			"a property of CONNACK may appear once, except User Property",
			packets{nil, []string{
				"Session Expiry Interval:20 0D 00 00 0A 11 00000001 11 00000001",
				"Receive Maximum:20 09 00 00 06 21 0001 21 0001",
				"Maximum QoS:20 07 00 00 04 24 01 24 01",
				"Retain Available:20 07 00 00 04 25 01 25 01",
				"Maximum Packet Size:20 0D 00 00 0A 27 00000100 27 00000100",
				"Assigned Client Identifier:20 0B 00 00 08 12 0001 61 12 0001 61",
				"Topic Alias Maximum:20 09 00 00 06 22 0001 22 0001",
				"Reason String:20 0B 00 00 08 1F 0001 61 1F 0001 61",
				"Wildcard Subscription Available:20 07 00 00 04 28 01 28 01",
				"Subscription Identifier Available:20 07 00 00 04 29 01 29 01",
				"Shared Subscription Available:20 07 00 00 04 2A 01 2A 01",
				"Server Keep Alive:20 09 00 00 06 13 003C 13 003C",
				"Server Reference:20 0B 00 00 08 1C 0001 61 1C 0001 61",
			}}, wire.ProtocolError, wire.MalformedPacket),
		wrongAck("property-once-puback", nil, ids("§3.4.2.2"),
			"Reason String may appear once in PUBACK", publishQoS1,
			packets{nil, []string{"40 0C IIII 00 08 1F 0001 61 1F 0001 61"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongAck("property-once-suback", nil, ids("§3.9.2.1"),
			"Reason String may appear once in SUBACK", subscribeTo("a"),
			packets{nil, []string{"90 0C IIII 08 1F 0001 61 1F 0001 61 00"}}, wire.ProtocolError, wire.MalformedPacket),
		wrong("property-once-disconnect", nil, ids("§3.14.2.2"),
			"Reason String may appear once in DISCONNECT",
			packets{nil, []string{"E0 0A 00 08 1F 0001 61 1F 0001 61"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongConnack("receive-maximum-0", nil, ids("§3.2.2.3.3"),
			"a Receive Maximum of 0 in CONNACK is a protocol error",
			packets{nil, []string{"20 06 00 00 03 21 0000"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongConnack("maximum-packet-size-0", nil, ids("§3.2.2.3.6"),
			"a Maximum Packet Size of 0 in CONNACK is a protocol error",
			packets{nil, []string{"20 08 00 00 05 27 00000000"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongConnack("maximum-qos-2", nil, ids("§3.2.2.3.4"),
			"Maximum QoS in CONNACK is 0 or 1",
			packets{nil, []string{"20 05 00 00 02 24 02"}}, wire.ProtocolError, wire.MalformedPacket),
		wrongConnack("flag-ranges", nil, ids("§3.2.2.3.5", "§3.2.2.3.11", "§3.2.2.3.12", "§3.2.2.3.13"),
			"flags in CONNACK are 0 or 1",
			packets{nil, []string{"20 05 00 00 02 25 02", "20 05 00 00 02 28 02", "20 05 00 00 02 29 02", "20 05 00 00 02 2A FF"}},
			wire.ProtocolError, wire.MalformedPacket),
		wrong("subscription-identifier-0", nil, ids("§3.3.2.3.8"),
			"a Subscription Identifier is not 0",
			packets{nil, []string{"30 06 0001 61 02 0B 00"}}, wire.ProtocolError, wire.MalformedPacket),
		unseen("connect-ranges", nil, ids("§3.1.2.11.3", "§3.1.2.11.4", "§3.1.2.11.6", "§3.1.2.11.7"),
			"no value of CONNECT is out of its range", "the line protocol cannot ask for such values"),
		unseen("authentication-data-alone", nil, ids("§3.1.2.11.10"),
			"authentication data need a method", "the line protocol cannot ask for that"),
	}
}

func clientPropertyValues() []clientCheck {
	return []clientCheck{
		rule("properties-sent", nil, ids("§3.3.2.3", "MQTT-3.3.2-13", "MQTT-3.3.2-19", "§3.3.2.3.3"),
			"the properties of a message are sent as the program gives them",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "publish", Topic: s.topic("a"), Payload: "x", Wait: true, Properties: &Properties{
					PayloadFormat: new(1), MessageExpiry: new(uint32(300)), ContentType: "text/plain", ResponseTopic: "r/1",
					Correlation: []byte{0, 0xFF}, UserProperties: [][2]string{{"b", "1"}, {"a", "2"}, {"b", "3"}},
				}})
				q := want[*wire.Publish](p).Properties
				switch {
				case q == nil:
					s.fails("no property is sent")
				case !q.PayloadFormatUTF8, q.MessageExpiryInterval == nil, q.ContentType != "text/plain", q.ResponseTopic != "r/1",
					string(q.CorrelationData) != "\x00\xff":
					s.fails("the properties are %+v", *q)
				case *q.MessageExpiryInterval != 300:
					s.fails("Message Expiry Interval is %d, not 300", *q.MessageExpiryInterval)
				case !slices.Equal(q.UserProperties, []wire.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}}):
					s.fails("the user properties are %v", q.UserProperties)
				}
				c.succeeds()
			}),
		rule("properties-received", nil, ids("§2.2.2.2", "§3.3.2.3", "MQTT-3.3.2-6"),
			"the program gets the properties of a message, and user properties in their order",
			func(s *script) {
				p := s.listening()
				p.send(&wire.Publish{Topic: s.topic("a"), Payload: []byte("x"), Properties: &wire.PublishProperties{
					PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(7)), ContentType: "text/plain", ResponseTopic: "r/1",
					CorrelationData: []byte{0, 0xFF}, UserProperties: []wire.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}},
				}})
				e := s.message("a")
				q := e.Properties
				switch {
				case q == nil:
					s.end(Cannot, "the program shows no properties")
				case q.ContentType != "text/plain", q.ResponseTopic != "r/1", string(q.Correlation) != "\x00\xff":
					s.fails("the properties are %+v", *q)
				case !slices.Equal(q.UserProperties, [][2]string{{"b", "1"}, {"a", "2"}, {"b", "3"}}):
					s.fails("the user properties are %v", q.UserProperties)
				case q.MessageExpiry == nil || *q.MessageExpiry != 7:
					s.remark("the program does not see Message Expiry Interval")
				case q.PayloadFormat == nil || *q.PayloadFormat != 1:
					s.remark("the program does not see Payload Format Indicator")
				}
			}),
		rule("message-expiry-0", nil, ids("§3.3.2.3.3"),
			"a Message Expiry Interval of 0 is sent as it is",
			func(s *script) {
				p := s.open()
				s.do(Operation{Op: "publish", Topic: s.topic("a"), Properties: &Properties{MessageExpiry: new(uint32(0))}})
				if q := want[*wire.Publish](p).Properties; q == nil || q.MessageExpiryInterval == nil {
					s.advised("it is left out, so that the message never expires")
				}
			}),
		rule("subscription-identifiers", nil, ids("§3.3.4", "§3.8.2.1.2"),
			"all Subscription Identifiers of a message reach the program, repeated ones too",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "subscribe", Filters: []Filter{{Filter: s.topic("#")}}, Identifier: 7})
				packet := want[*wire.Subscribe](p)
				id := packet.SubscriptionID
				if id == 0 {
					s.fails("SUBSCRIBE has no Subscription Identifier")
				}
				p.send(granted(packet))
				c.succeeds()
				p.send(&wire.Publish{Topic: s.topic("a"), Properties: &wire.PublishProperties{SubscriptionIDs: []uint32{id, id, 9}}})
				if e := s.message("a"); e.Properties == nil || !slices.Equal(e.Properties.SubscriptionIdentifiers, []int{int(id), int(id), 9}) {
					s.advised("the program does not see all three")
				}
			}),
		rule("no-subscription-identifier", nil, ids("MQTT-3.3.4-6"),
			"a PUBLISH of a client has no Subscription Identifier",
			func(s *script) {
				p := s.open()
				s.unsent(p, Operation{
					Op: "publish", Topic: s.topic("a"), Wait: true, Properties: &Properties{SubscriptionIdentifiers: []int{7}},
				}, func(packet *wire.Publish) bool {
					return packet.Properties != nil && packet.Properties.SubscriptionIDs != nil
				})
			}),
		rule("user-properties-connect", nil, ids("§3.1.2.11.8"),
			"user properties go with CONNECT",
			func(s *script) {
				op := s.connect()
				op.UserProperties = [][2]string{{"b", "1"}, {"a", "2"}}
				p := s.dial(op, &wire.Connack{})
				if !slices.Equal(p.connect.UserProperties, []wire.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}}) {
					s.fails("the user properties are %v", p.connect.UserProperties)
				}
			}),
	}
}
