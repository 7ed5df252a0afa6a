package conformance

import (
	"encoding/binary"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// raw packets, for what package wire refuses to build.

// framed puts a fixed header before a body.
func framed(first byte, fields ...[]byte) []byte {
	body := slices.Concat(fields...)
	return slices.Concat([]byte{first}, varint(len(body)), body)
}

func varint(n int) (b []byte) {
	for ; n > 127; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func uint16s(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func text(s string) []byte { return append(uint16s(uint16(len(s))), s...) }

// block is a property block, with its length.
func block(properties ...[]byte) []byte {
	all := slices.Concat(properties...)
	return append(varint(len(all)), all...)
}

// connectBytes builds a CONNECT of the trial's version. Properties are left out before 5.0.
func (t *trial) connectBytes(flags byte, properties []byte, fields ...[]byte) []byte {
	name := "MQTT"
	if t.version == wire.V31 {
		name = "MQIsdp"
	}
	head := slices.Concat(text(name), []byte{byte(t.version), flags}, uint16s(300))
	if t.version == wire.V5 {
		head = append(head, properties...)
	}
	return framed(0x10, append([][]byte{head}, fields...)...)
}

// properties is a property block on 5.0, and nothing before.
func (t *trial) properties(list ...[]byte) []byte {
	if t.version != wire.V5 {
		return nil
	}
	return block(list...)
}
