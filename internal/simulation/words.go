package simulation

import (
	"fmt"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

var names = [kinds]string{
	"Publish", "ConnectTo", "Up", "Down", "Settle", "Acknowledge", "Subscribe", "Unsubscribe", "Withdraw", "Cut", "HalfOpen", "Wait", "Orphan",
	"ServerPublish", "ServerAnswer", "ServerEnd", "ServerForget", "ServerSave", "ServerRestore", "ServerShrink", "ServerRefuse", "Crash",
	"Abandon", "Flaky", "Burst", "CommitBegin", "Commit", "Fault", "LostConnack", "Hammer",
}

func (s Step) String() string {
	return fmt.Sprintf("== {%s, %d, %d, %d}", names[s.Kind], s.A, s.B, s.C)
}

// words says what a packet is.
func words(packet wire.Packet) string {
	switch p := packet.(type) {
	case *wire.Publish:
		var b strings.Builder
		fmt.Fprintf(&b, "PUBLISH %d q%d %s", p.PacketID, p.QoS, p.Payload)
		if p.Duplicate {
			b.WriteString(" DUP")
		}
		if q := p.Properties; q != nil && q.TopicAlias != 0 {
			fmt.Fprintf(&b, " alias %d of %q", q.TopicAlias, p.Topic)
		}
		return b.String()
	case *wire.Connect:
		return fmt.Sprintf("CONNECT clean %t", p.CleanStart)
	case *wire.Connack:
		return fmt.Sprintf("CONNACK session %t, code %#x, receive maximum %d", p.SessionPresent, byte(p.ReasonCode), p.ReceiveMaximum)
	case *wire.Puback:
		return answer("PUBACK", p.PacketID, p.ReasonCode)
	case *wire.Pubrec:
		return answer("PUBREC", p.PacketID, p.ReasonCode)
	case *wire.Pubrel:
		return answer("PUBREL", p.PacketID, p.ReasonCode)
	case *wire.Pubcomp:
		return answer("PUBCOMP", p.PacketID, p.ReasonCode)
	case *wire.Subscribe:
		return fmt.Sprintf("SUBSCRIBE %d %v", p.PacketID, p.Filters)
	case *wire.Unsubscribe:
		return fmt.Sprintf("UNSUBSCRIBE %d %v", p.PacketID, p.Filters)
	case *wire.Suback:
		return fmt.Sprintf("SUBACK %d %v", p.PacketID, p.ReasonCodes)
	case *wire.Unsuback:
		return fmt.Sprintf("UNSUBACK %d", p.PacketID)
	}
	return packet.Type().String()
}

func answer(name string, id uint16, code wire.ReasonCode) string {
	if code == wire.Success {
		return fmt.Sprintf("%s %d", name, id)
	}
	return fmt.Sprintf("%s %d %v", name, id, code)
}
