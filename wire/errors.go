package wire

import "fmt"

// Error says why received bytes were refused.
type Error struct {
	Packet PacketType // 0: the bytes are not a control packet
	Reason ReasonCode // what to answer: MalformedPacket, ProtocolError or something more specific
	Detail string
}

// Error returns the packet, what is wrong with it and the reason code.
func (e *Error) Error() string {
	return fmt.Sprintf("%v: %s: %s", e.Packet, e.Detail, e.Reason.Error())
}

// Unwrap returns the reason code, so that errors.Is(err, MalformedPacket) works.
func (e *Error) Unwrap() error { return e.Reason }

// FieldError says why a packet cannot be encoded. Nothing was appended.
type FieldError struct {
	Packet  PacketType
	Field   string
	Problem string
}

// Error returns the packet, the field and the problem.
func (e *FieldError) Error() string {
	return fmt.Sprintf("%v: %s %s", e.Packet, e.Field, e.Problem)
}

func malformed(t PacketType, detail string) error {
	return &Error{Packet: t, Reason: MalformedPacket, Detail: detail}
}

func protocolError(t PacketType, detail string) error {
	return &Error{Packet: t, Reason: ProtocolError, Detail: detail}
}
