package fuzztest

import (
	"encoding/binary"
	"reflect"

	"github.com/seed65a45251/mqtt/wire"
)

// packets has a new packet of each type, by type.
var packets = [...]func() wire.Packet{
	wire.TypeConnect:     func() wire.Packet { return new(wire.Connect) },
	wire.TypeConnack:     func() wire.Packet { return new(wire.Connack) },
	wire.TypePublish:     func() wire.Packet { return new(wire.Publish) },
	wire.TypePuback:      func() wire.Packet { return new(wire.Puback) },
	wire.TypePubrec:      func() wire.Packet { return new(wire.Pubrec) },
	wire.TypePubrel:      func() wire.Packet { return new(wire.Pubrel) },
	wire.TypePubcomp:     func() wire.Packet { return new(wire.Pubcomp) },
	wire.TypeSubscribe:   func() wire.Packet { return new(wire.Subscribe) },
	wire.TypeSuback:      func() wire.Packet { return new(wire.Suback) },
	wire.TypeUnsubscribe: func() wire.Packet { return new(wire.Unsubscribe) },
	wire.TypeUnsuback:    func() wire.Packet { return new(wire.Unsuback) },
	wire.TypePingreq:     func() wire.Packet { return new(wire.Pingreq) },
	wire.TypePingresp:    func() wire.Packet { return new(wire.Pingresp) },
	wire.TypeDisconnect:  func() wire.Packet { return new(wire.Disconnect) },
	wire.TypeAuth:        func() wire.Packet { return new(wire.Auth) },
}

// Packet returns a packet of one of these types with any content that its type allows. It
// can be encoded in most cases, and a peer need not allow it.
func (c *Choices) Packet(types ...wire.PacketType) wire.Packet {
	p := packets[Pick(c, types...)]()
	c.Fill(p)
	switch p := p.(type) {
	case *wire.Publish:
		c.complete(p)
	case *wire.Connack:
		if c.N(4) > 0 {
			p.ReasonCode = wire.Success
		}
	case *wire.Suback:
		c.codes(&p.ReasonCodes)
	case *wire.Unsuback:
		c.codes(&p.ReasonCodes)
	case *wire.Subscribe:
		if len(p.Filters) == 0 {
			p.Filters = []wire.SubscribeFilter{{Filter: c.Text(), QoS: c.qos()}}
		}
	case *wire.Unsubscribe:
		if len(p.Filters) == 0 {
			p.Filters = []string{c.Text()}
		}
	}
	return p
}

// complete gives p what it needs in most cases.
func (c *Choices) complete(p *wire.Publish) {
	p.QoS = c.qos()
	if p.Topic == "" && (p.Properties == nil || p.Properties.TopicAlias == 0) {
		p.Topic = c.Text()
	}
}

// codes gives an answer one code, if it has none.
func (c *Choices) codes(list *[]wire.ReasonCode) {
	if len(*list) == 0 {
		*list = []wire.ReasonCode{Pick(c, wire.Success, wire.GrantedQoS1, wire.GrantedQoS2, wire.NotAuthorized, wire.QuotaExceeded)}
	}
}

func (c *Choices) qos() wire.QoS { return wire.QoS(c.N(3)) }

// SetPacketID gives p the packet identifier, if it has one.
func SetPacketID(p wire.Packet, id uint16) {
	if m, ok := p.(*wire.Publish); ok && m.QoS == wire.AtMostOnce {
		id = 0
	}
	if field := reflect.ValueOf(p).Elem().FieldByName("PacketID"); field.IsValid() {
		field.SetUint(uint64(id))
	}
}

// Frame is a packet in a stream, of which only the structure is known.
type Frame struct {
	wire.Header
	Body []byte
}

// PacketID returns the identifier that the frame has where its type has one, or 0.
func (f Frame) PacketID() uint16 {
	b := f.Body
	if f.Type == wire.TypePublish {
		if len(b) < 2 {
			return 0
		}
		b = b[min(len(b), 2+int(binary.BigEndian.Uint16(b))):]
	}
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

// QoS returns the quality of service of a PUBLISH.
func (f Frame) QoS() wire.QoS { return wire.QoS(f.Flags >> 1 & 3) }

// Frames cuts a stream into frames. Bytes may come in any pieces.
type Frames struct {
	buffered []byte
	Broken   bool // what followed is no packet
}

// Add takes the next bytes of the stream and returns the frames that they complete.
func (s *Frames) Add(b []byte, v wire.Version) (frames []Frame) {
	s.buffered = append(s.buffered, b...)
	for !s.Broken {
		h, n, err := wire.ParseHeader(s.buffered, v)
		if err != nil {
			s.Broken = true
			return frames
		}
		if n == 0 || len(s.buffered) < h.Size {
			return frames
		}
		frames = append(frames, Frame{h, s.buffered[n:h.Size:h.Size]})
		s.buffered = s.buffered[h.Size:]
	}
	return frames
}
