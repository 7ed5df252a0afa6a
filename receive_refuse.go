package mqtt

import "errors"

// Refuse tells the server that the program will not take a received message, and why.
// It takes the place of Ack, and like Ack it ends what the message holds up. On 5.0 the
// PUBACK or PUBREC has the code and the reason, which is text for people. (The server
// may log it. Of the reason, what a packet cannot hold is left out, and all beyond 1,024
// bytes.) Earlier versions know no refusal: the server gets an acknowledgement. It does
// not send the message again in either case. Stats counts the refusal.
//
// The code has to be a failure, from 0x80 on; otherwise the error matches ErrInvalid and
// nothing is done. A code that PUBACK and PUBREC cannot carry is sent as
// UnspecifiedError.
//
// Refuse has to come before the acknowledgement: with Stream, Messages and Next only
// ManualAck leaves time for it, with All and Handle the loop body and the function have
// it. ErrStale says that it came too late, for this reason or because the server lost
// the session. After Refuse, Ack does nothing. When several Subscriptions got the
// message, the server is told what the last of them says. A QoS 0 message has no answer,
// so refusing it does nothing.
func (m *Message) Refuse(code ReasonCode, reason string) error {
	if !code.Failed() {
		return &requestError{"refuse", m.Topic, false, invalid("reason code", "%v is no failure", code)}
	}
	return m.acknowledger.refuse(refusalOf(code), propertyText(reason))
}

// Refusal is an error with which a function of Handle refuses its message, like
// [Message.Refuse] does. A ReasonCode does the same without a reason. The Refusal may be
// wrapped; the code may not, see [Subscription.Handle].
type Refusal struct {
	// ReasonCode is what the server gets. A code below 0x80 acknowledges the message.
	ReasonCode ReasonCode
	// ReasonString is text for people.
	ReasonString string
}

// Error has the code and the reason.
func (r *Refusal) Error() string {
	text := "message refused: " + r.ReasonCode.String()
	if r.ReasonString != "" {
		text += ": " + r.ReasonString
	}
	return text
}

// Unwrap returns the ReasonCode.
func (r *Refusal) Unwrap() error { return r.ReasonCode }

// refusalIn returns the refusal that err, returned by a function of Handle, means.
func refusalIn(err error) (refusal Refusal, ok bool) {
	// Not errors.As: a code in the chain may be about something else, a Publish of the function's.
	if code, bare := err.(ReasonCode); bare {
		return Refusal{ReasonCode: code}, true
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return *r, true
	}
	return Refusal{}, false
}

// refuse ends the hold of a message and tells the server why it was not taken. A code
// that is no failure acknowledges the message.
func (a acknowledger) refuse(code ReasonCode, reason string) error {
	if a.origin == nil || a.generation == 0 { // it needs no answer, or is a copy that has none
		return nil
	}
	held, err := a.origin.answer(a.holdID, code, reason)
	if !held {
		return ErrStale
	}
	return err
}

// refusalOf returns code if PUBACK and PUBREC may carry it [MQTT-3.4.2-1],
// [MQTT-3.5.2-1].
func refusalOf(code ReasonCode) ReasonCode {
	switch code {
	case Success, NoMatchingSubscribers, ImplementationSpecificError, NotAuthorized, TopicNameInvalid,
		PacketIdentifierInUse, QuotaExceeded, PayloadFormatInvalid:
		return code
	}
	return UnspecifiedError
}
