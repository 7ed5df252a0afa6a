// Package protopayload is the codec for Protocol Buffers of package contrib/payload. It is
// a module of its own, so that only its users depend on google.golang.org/protobuf.
//
//	var readings protopayload.Codec[*pb.Reading]
//
//	err := payload.Publish(ctx, client, readings, mqtt.Message{Topic: "readings/7"}, &pb.Reading{Value: 21.5})
package protopayload

import (
	"fmt"
	"mime"

	"google.golang.org/protobuf/proto"

	"github.com/seed65a45251/mqtt"
)

// ContentType is the media type of Protocol Buffers (RFC 9996).
const ContentType = "application/protobuf"

// Codec turns messages of Protocol Buffers into messages of MQTT and back, in the binary
// format. T is a pointer to a generated type. Its methods are those of payload.Codec. The
// zero Codec works.
//
// The payload does not say which type it has, and the bytes of one type often can be read
// as another. So the type has to follow from the topic, or from a user property that
// sender and receiver agree on.
type Codec[T proto.Message] struct {
	// Marshal and Unmarshal are the options of package proto. Zero means its defaults.
	Marshal   proto.MarshalOptions
	Unmarshal proto.UnmarshalOptions
}

// Encode sets the payload of m to v, and its ContentType.
func (c Codec[T]) Encode(m *mqtt.Message, v T) error {
	bytes, err := c.Marshal.Marshal(v)
	if err != nil {
		return err
	}
	if bytes == nil {
		bytes = []byte{} // all fields have their zero value
	}
	m.Payload, m.ContentType, m.PayloadFormatUTF8 = bytes, ContentType, false
	return nil
}

// Decode returns the value in the payload of m. It refuses a message that says that it is
// text, or has another ContentType than Protocol Buffers or bytes in general. Without a
// ContentType, as before 5.0, it takes the payload for what it should be. Fields that T
// does not have are kept as unknown fields, unless Unmarshal says otherwise.
func (c Codec[T]) Decode(m *mqtt.Message) (v T, err error) {
	if m.PayloadFormatUTF8 {
		return v, fmt.Errorf("is text")
	}
	if m.ContentType != "" && !isProtobuf(m.ContentType) {
		return v, fmt.Errorf("content type %.80q is not Protocol Buffers", m.ContentType)
	}
	made := v.ProtoReflect().New().Interface().(T) // v is nil, but knows its type
	if err := c.Unmarshal.Unmarshal(m.Payload, made); err != nil {
		return v, err
	}
	return made, nil
}

// isProtobuf reports whether a media type is one under which Protocol Buffers are sent.
func isProtobuf(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch media {
	case ContentType, "application/x-protobuf", "application/x-protobuffer", "application/vnd.google.protobuf", "application/octet-stream":
		return true
	}
	return false
}
