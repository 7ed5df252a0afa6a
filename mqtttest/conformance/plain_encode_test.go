package conformance

import (
	"encoding/binary"

	"github.com/seed65a45251/mqtt/wire"
)

// The packets of a plain client, which the encoder of package wire would refuse in part.

func ackOf(first byte, id uint16) []byte { return binary.BigEndian.AppendUint16([]byte{first, 2}, id) }

func withText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// packetOf adds the fixed header.
func packetOf(first byte, body []byte) []byte {
	b := []byte{first}
	return append(withLength(b, len(body)), body...)
}

func withLength(b []byte, n int) []byte {
	for ; n > 127; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// block adds the length of properties, on 5.0.
func (c *plain) block(b, properties []byte) []byte {
	if c.version != wire.V5 {
		return b
	}
	return append(withLength(b, len(properties)), properties...)
}

func users(b []byte, all [][2]string) []byte {
	for _, one := range all {
		b = withText(withText(append(b, 0x26), one[0]), one[1])
	}
	return b
}

func messageProperties(p *Properties) (b []byte) {
	if p == nil {
		return nil
	}
	if p.PayloadFormat != nil {
		b = append(b, 0x01, byte(*p.PayloadFormat))
	}
	if p.MessageExpiry != nil {
		b = binary.BigEndian.AppendUint32(append(b, 0x02), *p.MessageExpiry)
	}
	if p.ContentType != "" {
		b = withText(append(b, 0x03), p.ContentType)
	}
	if p.ResponseTopic != "" {
		b = withText(append(b, 0x08), p.ResponseTopic)
	}
	if p.Correlation != nil {
		b = withText(append(b, 0x09), string(p.Correlation))
	}
	if p.Alias != nil {
		b = binary.BigEndian.AppendUint16(append(b, 0x23), uint16(*p.Alias))
	}
	return users(b, p.UserProperties)
}

func (c *plain) message(op Operation, id uint16) []byte {
	topic, payload := op.Topic, op.PayloadBase64
	if op.TopicBase64 != nil {
		topic = string(op.TopicBase64)
	}
	if payload == nil {
		payload = []byte(op.Payload)
	}
	b := withText(nil, topic)
	if op.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	b = append(c.block(b, messageProperties(op.Properties)), payload...)
	first := byte(0x30 | op.QoS<<1)
	if op.Retain {
		first |= 1
	}
	return packetOf(first, b)
}

func (c *plain) filters(op Operation, id uint16) []byte {
	first, b := byte(0xA2), binary.BigEndian.AppendUint16(nil, id)
	var properties []byte
	if op.Identifier != 0 {
		properties = withLength([]byte{0x0B}, op.Identifier)
	}
	b = c.block(b, properties)
	for _, f := range op.Filters {
		if f.FilterBase64 != nil {
			f.Filter = string(f.FilterBase64)
		}
		if b = withText(b, f.Filter); op.Op == "unsubscribe" {
			continue
		}
		options := byte(f.QoS)
		if c.version == wire.V5 {
			options |= flag(f.NoLocal, 4) | flag(f.RetainAsPublished, 8) | byte(f.RetainHandling)<<4
		}
		b = append(b, options)
	}
	if op.Op == "subscribe" {
		first = 0x82
	}
	return packetOf(first, b)
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

// hello returns CONNECT.
func (c *plain) hello(op Operation) []byte {
	flags := flag(op.Clean, 2) | flag(op.Username != nil, 0x80) | flag(op.Password != nil, 0x40)
	if w := op.Will; w != nil {
		flags |= 4 | byte(w.QoS)<<3 | flag(w.Retain, 0x20)
	}
	b := append(withText(nil, "MQTT"), byte(op.Version), flags)
	b = binary.BigEndian.AppendUint16(b, uint16(op.KeepAlive))
	b = withText(c.block(b, connectProperties(op)), op.ID)
	if w := op.Will; w != nil {
		properties := messageProperties(w.Properties)
		if w.Delay != 0 {
			properties = binary.BigEndian.AppendUint32(append(properties, 0x18), w.Delay)
		}
		b = withText(withText(c.block(b, properties), w.Topic), w.Payload)
	}
	if op.Username != nil {
		b = withText(b, *op.Username)
	}
	if op.Password != nil {
		b = withText(b, *op.Password)
	}
	return packetOf(0x10, b)
}

func connectProperties(op Operation) (b []byte) {
	if op.Expiry != 0 {
		b = binary.BigEndian.AppendUint32(append(b, 0x11), op.Expiry)
	}
	if op.ReceiveMaximum != 0 {
		b = binary.BigEndian.AppendUint16(append(b, 0x21), uint16(op.ReceiveMaximum))
	}
	if op.MaximumPacketSize != 0 {
		b = binary.BigEndian.AppendUint32(append(b, 0x27), uint32(op.MaximumPacketSize))
	}
	if op.TopicAliasMaximum != 0 {
		b = binary.BigEndian.AppendUint16(append(b, 0x22), uint16(op.TopicAliasMaximum))
	}
	if op.NoProblemInformation {
		b = append(b, 0x17, 0)
	}
	if op.RequestResponseInformation {
		b = append(b, 0x19, 1)
	}
	if op.Auth != nil {
		b = withText(append(b, 0x15), op.Auth.Method)
		b = withText(append(b, 0x16), string(op.Auth.Data))
	}
	return users(b, op.UserProperties)
}

func (c *plain) auth(code byte, data string) []byte {
	properties := withText(append(withText([]byte{0x15}, c.method), 0x16), data)
	return packetOf(0xF0, append(withLength([]byte{code}, len(properties)), properties...))
}

// leave returns DISCONNECT.
func (c *plain) leave(op Operation) []byte {
	if c.version != wire.V5 {
		return []byte{0xE0, 0}
	}
	b := []byte{byte(op.Code), 0}
	if op.Expiry != 0 {
		b = binary.BigEndian.AppendUint32([]byte{byte(op.Code), 5, 0x11}, op.Expiry)
	}
	return packetOf(0xE0, b)
}
