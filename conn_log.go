package mqtt

import (
	"context"
	"log/slog"

	"github.com/seed65a45251/mqtt/internal/brief"
	"github.com/seed65a45251/mqtt/wire"
)

// LevelPacket is the level at which Config.Logger gets every control packet, sent and
// received: its type, size, identifier, topic or filters, flags and reason codes, but
// no payloads, user names or passwords. The handler then runs on the goroutines that
// read and write. It is asked once for each connection whether it wants packets.
const LevelPacket = slog.LevelDebug - 4

const (
	packetSent     = "mqtt packet sent"
	packetReceived = "mqtt packet received"
)

// packetLog logs the packets of one connection. A nil packetLog logs nothing.
type packetLog struct {
	logger         *slog.Logger
	sent, received wire.Decoder
	noted          []noted
	streaming      int // bytes of a payload that are still to be written
}

// loggedCodes is how many reason codes of a SUBACK or UNSUBACK are logged.
const loggedCodes = 100

// newPacketLog returns nil if logger does not want packets.
func newPacketLog(logger *slog.Logger, v Version) *packetLog {
	if !logger.Enabled(context.Background(), LevelPacket) {
		return nil
	}
	return &packetLog{
		logger:   logger,
		sent:     wire.Decoder{Version: v, From: wire.FromClient},
		received: wire.Decoder{Version: v, From: wire.FromServer, Tolerate: func(*wire.Error) {}},
	}
}

// wrote logs the packets of b. The last may lack some of its payload, which comes
// with the next calls.
func (t *packetLog) wrote(b []byte) {
	if t == nil {
		return
	}
	n := min(t.streaming, len(b))
	t.streaming -= n
	b = t.each(packetSent, &t.sent, b[n:])
	if h, n, err := wire.ParseHeader(b, t.sent.Version); err == nil && n > 0 {
		t.streaming = h.Size - len(b)
		t.packet(packetSent, &t.sent, h, b[n:], t.streaming)
	}
}

// read logs the packets of b that are complete.
func (t *packetLog) read(b []byte) {
	if t != nil {
		t.each(packetReceived, &t.received, b)
	}
}

// noted is a received packet that is logged when no lock is held.
type noted struct {
	header wire.Header
	body   []byte
}

func (t *packetLog) note(h wire.Header, body []byte) {
	if t != nil {
		t.noted = append(t.noted, noted{h, body})
	}
}

// readNoted logs what was noted.
func (t *packetLog) readNoted() {
	if t == nil {
		return
	}
	for _, n := range t.noted {
		t.packet(packetReceived, &t.received, n.header, n.body, 0)
	}
	t.noted = nil
}

// each logs what is complete of b and returns the rest.
func (t *packetLog) each(message string, d *wire.Decoder, b []byte) (rest []byte) {
	for {
		h, n, err := wire.ParseHeader(b, d.Version)
		if err != nil || n == 0 || h.Size > len(b) {
			return b
		}
		t.packet(message, d, h, b[n:h.Size], 0)
		b = b[h.Size:]
	}
}

// packet logs one packet, of whose payload so many bytes are missing.
func (t *packetLog) packet(message string, d *wire.Decoder, h wire.Header, body []byte, missing int) {
	attrs := []slog.Attr{slog.String("packet", h.Type.String()), slog.Int("size", h.Size)}
	p, err := d.Decode(h, body)
	switch p := p.(type) {
	case nil:
		attrs = append(attrs, slog.String("problem", err.Error()))
	case *wire.Publish:
		attrs = append(attrs, describePublish(p, len(p.Payload)+missing)...)
	default:
		attrs = append(attrs, describe(p)...)
	}
	t.logger.LogAttrs(context.Background(), LevelPacket, message, attrs...)
}

// describe says of a packet what is no secret.
func describe(p wire.Packet) []slog.Attr {
	id := func(id uint16) slog.Attr { return slog.Int("packet_id", int(id)) }
	reason := func(code ReasonCode) slog.Attr { return slog.String("reason", code.Error()) }
	switch p := p.(type) {
	case *wire.Connect:
		return []slog.Attr{slog.Bool("clean_start", p.CleanStart), slog.Int("keep_alive", int(p.KeepAlive)), slog.Bool("will", p.Will != nil)}
	case *wire.Connack:
		return []slog.Attr{slog.Bool("session_present", p.SessionPresent), reason(p.ReasonCode)}
	case *wire.Puback:
		return []slog.Attr{id(p.PacketID), reason(p.ReasonCode)}
	case *wire.Pubrec:
		return []slog.Attr{id(p.PacketID), reason(p.ReasonCode)}
	case *wire.Pubrel:
		return []slog.Attr{id(p.PacketID), reason(p.ReasonCode)}
	case *wire.Pubcomp:
		return []slog.Attr{id(p.PacketID), reason(p.ReasonCode)}
	case *wire.Subscribe:
		return []slog.Attr{id(p.PacketID), slog.Any("filters", p.Filters)}
	case *wire.Suback:
		return []slog.Attr{id(p.PacketID), slog.Any("reasons", p.ReasonCodes[:min(len(p.ReasonCodes), loggedCodes)])}
	case *wire.Unsubscribe:
		return []slog.Attr{id(p.PacketID), slog.Any("filters", p.Filters)}
	case *wire.Unsuback:
		return []slog.Attr{id(p.PacketID), slog.Any("reasons", p.ReasonCodes[:min(len(p.ReasonCodes), loggedCodes)])}
	case *wire.Disconnect:
		return []slog.Attr{reason(p.ReasonCode)}
	case *wire.Auth:
		return []slog.Attr{reason(p.ReasonCode), slog.String("method", brief.Text(p.AuthenticationMethod))}
	}
	return nil
}

func describePublish(p *wire.Publish, payload int) []slog.Attr {
	attrs := []slog.Attr{slog.String("topic", brief.Text(p.Topic)), slog.Int("qos", int(p.QoS)), slog.Int("payload", payload)}
	if p.QoS > AtMostOnce {
		attrs = append(attrs, slog.Int("packet_id", int(p.PacketID)), slog.Bool("dup", p.Duplicate))
	}
	if p.Retain {
		attrs = append(attrs, slog.Bool("retain", true))
	}
	if p.Properties != nil && p.Properties.TopicAlias > 0 {
		attrs = append(attrs, slog.Int("alias", int(p.Properties.TopicAlias)))
	}
	return attrs
}
