// Package payload gives messages typed payloads. A [Codec] turns values of a type into
// messages and back. [JSON] is one; the modules contrib/protopayload and
// contrib/eventpayload have those for Protocol Buffers and CloudEvents, so that nobody
// gets their dependencies who does not use them. A type with the two methods of Codec is
// one, too.
//
//	var readings payload.JSON[Reading]
//
//	err := payload.Publish(ctx, client, readings, mqtt.Message{Topic: "readings/7", QoS: mqtt.AtLeastOnce}, Reading{21.5})
//
//	err = client.Handle(ctx, options, payload.Handler(readings,
//		func(ctx context.Context, r Reading, m *mqtt.Message) error { … }))
//
// [Handler] is for Handle, [BatchHandler] for HandleBatches, [All] for a loop over All. A
// message that cannot be decoded is a [*DecodeError]; its comment says how a program
// refuses such messages, or makes them dead letters.
package payload

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// Codec turns values of T into messages and back. Its methods may be called from several
// goroutines at once.
type Codec[T any] interface {
	// Encode sets the payload of m to v, and the properties that describe the payload.
	// It leaves the others as they are.
	Encode(m *mqtt.Message, v T) error
	// Decode returns the value in m. It may keep no part of m: a handler may have
	// borrowed it.
	Decode(m *mqtt.Message) (T, error)
}

// DecodeError says that the payload of a message is not a value of the type that is
// expected. errors.Is finds mqtt.PayloadFormatInvalid in it, so that a policy can tell it
// from other failures:
//
//	OnFailure: &mqtt.FailurePolicy{
//		Attempts:   5,
//		Permanent:  func(err error) bool { return errors.Is(err, mqtt.PayloadFormatInvalid) },
//		DeadLetter: "dead/#",
//	}
//
// To refuse such messages only, return a refusal in its place:
//
//	err := handler(ctx, m)
//	if bad, ok := errors.AsType[*payload.DecodeError](err); ok {
//		return &mqtt.Refusal{ReasonCode: mqtt.PayloadFormatInvalid, ReasonString: bad.Error()}
//	}
//
// Without either, it ends Handle like every error.
type DecodeError struct {
	Topic string
	Err   error // of the Codec
}

// Error has the topic and the error of the Codec.
func (e *DecodeError) Error() string { return fmt.Sprintf("payload on %.80q: %v", e.Topic, e.Err) }

// Unwrap returns mqtt.PayloadFormatInvalid and the error of the Codec.
func (e *DecodeError) Unwrap() []error { return []error{mqtt.PayloadFormatInvalid, e.Err} }

func decode[T any](codec Codec[T], m *mqtt.Message) (T, error) {
	v, err := codec.Decode(m)
	if err != nil {
		err = &DecodeError{m.Topic, err}
	}
	return v, err
}

// Handler returns a function for Subscription.Handle and Client.Handle that decodes each
// message and calls f with the value. If that fails, it returns a *DecodeError. The
// message is for what else f needs of it, its topic for example.
func Handler[T any](codec Codec[T], f func(context.Context, T, *mqtt.Message) error) func(context.Context, *mqtt.Message) error {
	return func(ctx context.Context, m *mqtt.Message) error {
		v, err := decode(codec, m)
		if err != nil {
			return err
		}
		return f(ctx, v, m)
	}
}

// Received is a message with the value in it.
type Received[T any] struct {
	*mqtt.Message
	Value T
}

// BatchHandler returns a function for Subscription.HandleBatches that decodes the messages
// of a batch and calls f with them. If one of them cannot be decoded, it returns a
// *DecodeError and does not call f. With a FailurePolicy that has a DeadLetter or Refuse,
// the messages are then handled one by one, and only those at fault end that way.
func BatchHandler[T any](codec Codec[T], f func(context.Context, []Received[T]) error) func(context.Context, []*mqtt.Message) error {
	return func(ctx context.Context, batch []*mqtt.Message) error {
		values := make([]Received[T], len(batch))
		for i, m := range batch {
			v, err := decode(codec, m)
			if err != nil {
				return err
			}
			values[i] = Received[T]{m, v}
		}
		return f(ctx, values)
	}
}

// All decodes what a loop over Subscription.All yields. After a *DecodeError, which comes
// with its message, the loop may go on; the message can be refused. After every other
// error it ends, as that of All does.
//
//	for r, err := range payload.All(readings, sub.All(ctx)) { … }
func All[T any](codec Codec[T], messages iter.Seq2[*mqtt.Message, error]) iter.Seq2[Received[T], error] {
	return func(yield func(Received[T], error) bool) {
		for m, err := range messages {
			r := Received[T]{Message: m}
			if err == nil {
				r.Value, err = decode(codec, m)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// Publisher publishes a message. *mqtt.Client is one.
type Publisher interface {
	PublishMessage(context.Context, *mqtt.Message) error
}

// Publish encodes v into m and publishes it, as PublishMessage does. m has the topic, the
// QoS and all that the Codec does not set.
//
// Before 5.0 there are no properties. There the message is published without its
// ContentType and PayloadFormatUTF8. It fails, with a *wire.FieldError, only if it has
// other properties of 5.0.
func Publish[T any](ctx context.Context, to Publisher, codec Codec[T], m mqtt.Message, v T) error {
	if err := codec.Encode(&m, v); err != nil {
		return fmt.Errorf("payload for %.80q: %w", m.Topic, err)
	}
	err := to.PublishMessage(ctx, &m)
	if _, old := errors.AsType[*wire.FieldError](err); old && (m.ContentType != "" || m.PayloadFormatUTF8) {
		m.ContentType, m.PayloadFormatUTF8 = "", false
		return to.PublishMessage(ctx, &m)
	}
	return err
}
