package conformance

import (
	"bytes"
	"slices"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// clientStrings has the statements about the encoding of data.
func clientStrings() []clientCheck {
	return slices.Concat(clientText(), clientLengths(), clientStream())
}

func clientText() []clientCheck {
	return []clientCheck{
		rule("utf8-send", ids("MQTT-1.5.3-1"), ids("MQTT-1.5.4-1"),
			"every string sent is well-formed UTF-8",
			func(s *script) {
				p := s.open()
				for _, topic := range []string{"FF", "C0 AF", "ED A0 80", "61 C3"} {
					p.refused(Operation{Op: "publish", TopicBase64: unhex(topic), Wait: true})
				}
			}),
		wrong("utf8-receive", ids("MQTT-1.5.3-1"), ids("MQTT-1.5.4-1"),
			"a received string that is not well-formed UTF-8 ends the connection",
			packets{
				[]string{"30 04 0002 FFFE", "30 04 0002 C0AF", "30 05 0003 EDA080"},
				[]string{"30 05 0002 FFFE 00", "30 05 0002 C0AF 00", "30 06 0003 EDA080 00"},
			}, wire.MalformedPacket),
		wrongConnack("utf8-connack", nil, ids("MQTT-1.5.4-1"),
			"an ill-formed reason string in CONNACK ends the connection",
			packets{nil, []string{"20 07 00 00 04 1F 0001 FF"}}, wire.MalformedPacket),
		wrongAck("utf8-suback", nil, ids("MQTT-1.5.4-1"),
			"an ill-formed user property in SUBACK ends the connection", subscribeTo("a"),
			packets{nil, []string{"90 0B IIII 07 26 0001 FF 0001 61 02"}}, wire.MalformedPacket),
		rule("nul-send", ids("MQTT-1.5.3-2", "MQTT-4.7.3-2"), ids("MQTT-1.5.4-2", "MQTT-4.7.3-2"),
			"no string sent has U+0000",
			func(s *script) {
				p := s.open()
				p.refused(Operation{Op: "publish", Topic: "a\x00b", Wait: true})
				p.refusedAlso(Operation{Op: "subscribe", Filters: []Filter{{Filter: "a\x00b"}}})
			}),
		wrong("nul-receive", ids("MQTT-1.5.3-2"), ids("MQTT-1.5.4-2"),
			"a received string with U+0000 ends the connection",
			packets{[]string{"30 04 0002 6100"}, []string{"30 05 0002 6100 00"}}, wire.MalformedPacket),
		rule("bom", ids("MQTT-1.5.3-3"), ids("MQTT-1.5.4-3"),
			"EF BB BF is the character U+FEFF wherever it stands, and is kept",
			func(s *script) {
				p := s.open()
				s.subscribe(p, "#", 0)
				p.send(&wire.Publish{Topic: "\uFEFFa"})
				if e := s.event("message"); e.Topic != "\uFEFFa" {
					s.fails("the topic is %x", e.Topic)
				}
			}),
		choice("control-characters", ids("§1.5.3"), ids("§1.5.4"),
			"control characters and noncharacters may be an error for a receiver",
			packets{
				[]string{"U+0001:30 03 0001 01", "U+FFFF:30 05 0003 EFBFBF"},
				[]string{"U+0001:30 04 0001 01 00", "U+FFFF:30 06 0003 EFBFBF 00"},
			}),
		wrong("pair-receive", nil, ids("MQTT-1.5.7-1"),
			"both halves of a string pair obey the rules of strings",
			packets{nil, []string{
				"30 0B 0001 61 07 26 0001 FF 0001 61", "30 0B 0001 61 07 26 0001 61 0001 FF", "30 0B 0001 61 07 26 0001 61 0001 00",
			}}, wire.MalformedPacket),
		rule("pair-send", nil, ids("MQTT-1.5.7-1"),
			"a user property with U+0000 is not sent",
			func(s *script) {
				s.open().refused(Operation{Op: "publish", Topic: s.topic("a"), Wait: true,
					Properties: &Properties{UserProperties: [][2]string{{"a", "b\x00"}}}})
			}),
	}
}

func clientLengths() []clientCheck {
	return []clientCheck{
		rule("varint-send", nil, ids("MQTT-1.5.5-1"),
			"variable byte integers use as few bytes as possible",
			func(s *script) {
				p := s.open()
				for _, size := range []int{127, 128, 16383, 16384, 2097151, 2097152} {
					payload := bytes.Repeat([]byte{'x'}, size-4) // 2 for the length of the topic, 1 topic, 1 properties
					c := s.begin(Operation{Op: "publish", Topic: "a", PayloadBase64: payload, Wait: true})
					if _, raw := wantRaw[*wire.Publish](p); len(raw) != 1+lengthBytes(size)+size {
						s.fails("a packet of remaining length %d has %d bytes", size, len(raw))
					}
					c.succeeds()
				}
			}),
		wrong("varint-receive", nil, ids("MQTT-1.5.5-1"),
			"a variable byte integer that is longer than needed is malformed",
			packets{nil, []string{"remaining length:D0 80 00", "property length:30 05 0001 61 80 00"}}, wire.MalformedPacket),
		wrong("varint-long", ids("§2.2.3"), ids("§1.5.5"),
			"a variable byte integer has at most four bytes",
			both("D0 80 80 80 80 00", "D0 FF FF FF FF 7F"), wire.MalformedPacket),
		rule("varint-longer-form", ids("§2.2.3"), nil,
			"3.1.1 has no rule that lengths are as short as possible",
			func(s *script) {
				p := s.open()
				p.raw("D0 80 00")
				p.alive()
			}),
		rule("big-endian", ids("§1.5.2"), ids("§1.5.2", "§1.5.3"),
			"integers have their most significant byte first",
			func(s *script) {
				op := s.connect()
				op.KeepAlive, op.Expiry = 258, 16909060
				p := s.dial(op, &wire.Connack{})
				if p.connect.KeepAlive != 258 {
					s.fails("a keep-alive of 258 is sent as %d", p.connect.KeepAlive)
				}
				if s.v5() && p.connect.SessionExpiryInterval != 16909060 {
					s.fails("a session expiry of 16909060 is sent as %d", p.connect.SessionExpiryInterval)
				}
			}),
		rule("string-limit", ids("MQTT-4.7.3-3"), ids("MQTT-4.7.3-3", "§1.5.4"),
			"a string has at most 65535 bytes",
			func(s *script) {
				p := s.open()
				c := s.begin(Operation{Op: "publish", Topic: strings.Repeat("a", 65535), Wait: true})
				if packet := want[*wire.Publish](p); len(packet.Topic) != 65535 {
					s.fails("a topic of 65535 bytes is sent with %d", len(packet.Topic))
				}
				c.succeeds()
				p.refused(Operation{Op: "publish", Topic: strings.Repeat("a", 65536), Wait: true})
			}),
		rule("empty-binary", nil, ids("§1.5.6"),
			"an empty binary field differs from one that is absent",
			func(s *script) {
				p := s.listening()
				c := s.begin(Operation{Op: "publish", Topic: s.topic("a"), Wait: true, Properties: &Properties{Correlation: []byte{}}})
				if packet := want[*wire.Publish](p); packet.Properties == nil || packet.Properties.CorrelationData == nil {
					s.advised("empty correlation data are not sent")
				}
				c.succeeds()
				p.send(&wire.Publish{Topic: s.topic("b"), Properties: &wire.PublishProperties{CorrelationData: []byte{}}})
				if e := s.message("b"); e.Properties == nil || e.Properties.Correlation == nil {
					s.remark("the program does not see the empty correlation data")
				}
			}),
	}
}

// lengthBytes returns how many bytes a variable byte integer needs.
func lengthBytes(n int) int {
	count := 1
	for ; n > 127; n >>= 7 {
		count++
	}
	return count
}

func clientStream() []clientCheck {
	return []clientCheck{
		unseen("no-extension", ids("MQTT-7.0.0-2"), ids("§7.1.2"),
			"nothing beyond the text is needed to work together", "every check shows it"),
		unseen("websocket", ids("MQTT-6.0.0-1", "MQTT-6.0.0-2", "MQTT-6.0.0-3", "MQTT-6.0.0-4"), ids("MQTT-6.0.0-1", "MQTT-6.0.0-2", "MQTT-6.0.0-3", "MQTT-6.0.0-4"),
			"over WebSocket packets are in binary frames of any size, with the subprotocol mqtt", "the suite's server speaks TCP only"),
		wrong("field-past-end", ids("§2.2.3"), ids("§2.1.4"),
			"a field that runs past the end of its packet is malformed, and so are bytes after the last field",
			packets{
				[]string{"30 05 0009 616263", "PINGRESP of three bytes:D0 01 00"},
				[]string{"30 05 0009 616263", "PINGRESP of three bytes:D0 01 00", "30 05 0001 61 09 01"},
			}, wire.MalformedPacket),
		wrongConnack("connack-rest", ids("§3.2.1"), ids("§2.1.4"),
			"CONNACK with a byte after its last field is malformed",
			packets{[]string{"20 03 00 00 00"}, []string{"20 04 00 00 00 00"}}, wire.MalformedPacket),
		rule("stream", ids("§4.2", "MQTT-7.1.2-1"), ids("§4.2", "MQTT-4.2.0-1"),
			"packets are a stream of bytes: any split and any joining works",
			func(s *script) {
				p := s.listening()
				first, second := s.joined(1), s.joined(4)
				for i := range first {
					p.write(first[i : i+1])
				}
				p.write(second)
				for range 2 {
					for _, rest := range []string{"1", "2", "3"} {
						want[*wire.Puback](p)
						s.message(rest)
					}
				}
			}),
	}
}

// joined returns the bytes of three messages with identifiers from id on.
func (s *script) joined(id uint16) (all []byte) {
	for i, rest := range []string{"1", "2", "3"} {
		packet := &wire.Publish{Topic: s.topic(rest), Payload: []byte("payload"), QoS: wire.AtLeastOnce, PacketID: id + uint16(i)}
		all, _ = packet.Append(all, s.version)
	}
	return all
}
