package session

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"unsafe"

	"github.com/seed65a45251/mqtt/wire"
)

// Digest distinguishes received messages from each other. It covers what all
// transmissions of a message have in common: the topic, the payload and the
// properties of the message. Packet identifier, DUP, topic alias, message expiry and
// subscription identifiers belong to one transmission and are left out.
type Digest struct {
	Content    uint64 // of topic and payload
	Properties uint64 // 0: unknown, as the message came before 5.0
}

// DigestOf returns the digest of p, which came with version v and whose topic is
// filled in. It is the same in every process, so it can be recorded: see
// [Receiver.Remember].
func DigestOf(p *wire.Publish, v wire.Version) Digest { return recordable.digest(p, v) }

// same reports whether d and of belong to one message. A message loses its properties
// when it passes from one version to another.
func (d Digest) same(of Digest) bool {
	return d.Content == of.Content && (d.Properties == 0 || of.Properties == 0 || d.Properties == of.Properties)
}

// digester is a hash function for bytes and for strings, so that nothing has to be
// copied.
type digester struct {
	text  func(string) uint64
	bytes func([]byte) uint64
}

// inMemory is much faster than recordable, but differs in each process.
var inMemory = digester{
	text:  func(s string) uint64 { return maphash.String(digestSeed, s) },
	bytes: func(b []byte) uint64 { return maphash.Bytes(digestSeed, b) },
}

var digestSeed = maphash.MakeSeed()

var recordable = digester{
	text:  func(s string) uint64 { return sha64([]byte(s)) },
	bytes: sha64,
}

func sha64(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// mix adds h to a sum that depends on the order.
func mix(sum, h uint64) uint64 { return bits.RotateLeft64(sum, 23)*0x9E3779B97F4A7C15 ^ h }

// payloadSum is the hash of a payload, if it was computed in advance.
type payloadSum struct {
	payload []byte
	sum     uint64 // 0: not computed
}

func (s *payloadSum) of(payload []byte) uint64 {
	if s.sum != 0 && len(payload) == len(s.payload) && unsafe.SliceData(payload) == unsafe.SliceData(s.payload) {
		return s.sum
	}
	return inMemory.bytes(payload)
}

func (h *digester) digest(p *wire.Publish, v wire.Version) Digest {
	return h.digestWith(p, h.bytes(p.Payload), v)
}

// digestWith is digest for a payload with a known hash.
func (h *digester) digestWith(p *wire.Publish, payload uint64, v wire.Version) Digest {
	d := Digest{Content: mix(h.text(p.Topic), payload)}
	if v == wire.V5 {
		d.Properties = max(h.properties(p.Properties), 1)
	}
	return d
}

func (h *digester) properties(p *wire.PublishProperties) uint64 {
	if p == nil {
		return 0
	}
	sum := uint64(0)
	if p.PayloadFormatUTF8 {
		sum = mix(sum, 1)
	}
	if p.ContentType != "" {
		sum = mix(mix(sum, 2), h.text(p.ContentType))
	}
	if p.ResponseTopic != "" {
		sum = mix(mix(sum, 3), h.text(p.ResponseTopic))
	}
	if p.CorrelationData != nil {
		sum = mix(mix(sum, 4), h.bytes(p.CorrelationData))
	}
	for i := range p.UserProperties {
		sum = mix(mix(mix(sum, 5), h.text(p.UserProperties[i].Name)), h.text(p.UserProperties[i].Value))
	}
	return sum
}
