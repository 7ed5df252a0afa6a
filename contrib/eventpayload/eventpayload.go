// Package eventpayload sends CloudEvents 1.0 by their MQTT protocol binding, version
// 1.0.2. Events have the type of the Go SDK of CloudEvents, so that they can go on to other
// protocols. [Codec] is a codec of package contrib/payload. It is a module of its own, so
// that only its users depend on the SDK.
//
//	e := event.New()
//	e.SetID("1")
//	e.SetSource("/sensors/7")
//	e.SetType("com.example.reading")
//	err := e.SetData("application/json", Reading{21.5})
//
//	err = payload.Publish(ctx, client, eventpayload.Codec{}, mqtt.Message{Topic: "events"}, e)
package eventpayload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/seed65a45251/mqtt"
)

// ContentType is that of an event in structured mode.
const ContentType = "application/cloudevents+json; charset=utf-8"

// Codec turns events into messages and back. Its methods are those of
// payload.Codec[event.Event]. The zero Codec works.
type Codec struct {
	// Binary makes Encode use the binary mode (5.0): the payload is the data of the event,
	// ContentType its type, and the attributes are user properties. An event in
	// binary mode cannot be published before 5.0. Zero means the structured mode: the
	// payload is the whole event in JSON. It works with every version, where
	// payload.Publish leaves out the ContentType.
	Binary bool
}

// Encode makes of m a message with the event e. It adds user properties to those that m
// has, in binary mode, and sets nothing else but the payload and what describes it. An
// event that is not valid, or of another version than 1.0, is an error.
func (c Codec) Encode(m *mqtt.Message, e event.Event) error {
	if err := check(&e); err != nil {
		return err
	}
	if c.Binary {
		return encodeBinary(m, &e)
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	m.Payload, m.ContentType, m.PayloadFormatUTF8 = text, ContentType, true
	return nil
}

// Decode returns the event in m, of either mode. A ContentType of CloudEvents in JSON
// means structured mode. So does a message that has neither a ContentType nor the user
// property specversion, as before 5.0. Other formats of CloudEvents are an error, as is an
// event that is not valid.
//
// In binary mode, all user properties whose names can be names of attributes become
// attributes: of 1 to 20 lower-case letters and digits. Others are passed over. An
// attribute that is there twice is an error if it is one of the core specification;
// otherwise the first counts.
func (c Codec) Decode(m *mqtt.Message) (e event.Event, err error) {
	structured, err := isStructured(m)
	switch {
	case err != nil:
	case structured:
		err = json.Unmarshal(m.Payload, &e)
	default:
		e, err = decodeBinary(m)
	}
	if err == nil {
		err = check(&e)
	}
	if err != nil {
		return event.Event{}, err
	}
	return e, nil
}

// check refuses what is no valid event of version 1.0.
func check(e *event.Event) error {
	if err := e.Validate(); err != nil {
		return fmt.Errorf("event: %s", strings.TrimSpace(err.Error()))
	}
	if v := e.SpecVersion(); v != event.CloudEventsVersionV1 {
		return fmt.Errorf("event of version %.20q", v)
	}
	return nil
}

// isStructured reports whether the payload of m is a whole event.
func isStructured(m *mqtt.Message) (bool, error) {
	if m.ContentType == "" {
		_, attributes := m.UserProperty("specversion")
		return !attributes, nil
	}
	const prefix = "application/cloudevents"
	if len(m.ContentType) < len(prefix) || !strings.EqualFold(m.ContentType[:len(prefix)], prefix) {
		return false, nil
	}
	if media, _, err := mime.ParseMediaType(m.ContentType); err != nil || media != prefix+"+json" {
		return false, fmt.Errorf("events in format %.80q are not supported", m.ContentType)
	}
	return true, nil
}

// encodeBinary encodes e in binary mode.
func encodeBinary(m *mqtt.Message, e *event.Event) error {
	attributes := []mqtt.UserProperty{
		{Name: "specversion", Value: event.CloudEventsVersionV1},
		{Name: "id", Value: e.ID()},
		{Name: "source", Value: e.Source()},
		{Name: "type", Value: e.Type()},
	}
	if s := e.DataSchema(); s != "" {
		attributes = append(attributes, mqtt.UserProperty{Name: "dataschema", Value: s})
	}
	if s := e.Subject(); s != "" {
		attributes = append(attributes, mqtt.UserProperty{Name: "subject", Value: s})
	}
	if t := e.Time(); !t.IsZero() {
		attributes = append(attributes, mqtt.UserProperty{Name: "time", Value: types.FormatTime(t)})
	}
	extensions := e.Extensions()
	for _, name := range slices.Sorted(maps.Keys(extensions)) {
		value, err := types.Format(extensions[name])
		if err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
		attributes = append(attributes, mqtt.UserProperty{Name: name, Value: value})
	}
	contentType := e.DataContentType()
	if contentType == "" && !e.DataBase64 && len(e.DataEncoded) > 0 {
		contentType = event.ApplicationJSON // what an event in JSON means without one
	}
	if contentType != "" {
		// ContentType has it already. The example of the binding has both, and the SDK for
		// JavaScript looks only here.
		attributes = append(attributes, mqtt.UserProperty{Name: "datacontenttype", Value: contentType})
	}
	for _, a := range attributes {
		if _, ok := m.UserProperty(a.Name); ok {
			return fmt.Errorf("attribute %s: the message has a user property with this name", a.Name)
		}
	}
	m.Payload = append([]byte{}, e.DataEncoded...)
	m.ContentType, m.PayloadFormatUTF8 = contentType, isText(e)
	m.UserProperties = append(m.UserProperties[:len(m.UserProperties):len(m.UserProperties)], attributes...)
	return nil
}

// isText reports whether the data of e is known to be text.
func isText(e *event.Event) bool {
	return !e.DataBase64 && len(e.DataEncoded) > 0 && utf8.Valid(e.DataEncoded)
}

// decodeBinary decodes an event in binary mode.
func decodeBinary(m *mqtt.Message) (e event.Event, err error) {
	e = event.New(event.CloudEventsVersionV1)
	set := map[string]func(string){
		"specversion": func(s string) {
			if s != event.CloudEventsVersionV1 {
				err = fmt.Errorf("event of version %.20q", s)
			}
		},
		"id": e.SetID, "source": e.SetSource, "type": e.SetType, "dataschema": e.SetDataSchema, "subject": e.SetSubject,
		"time": func(s string) {
			t, failure := types.ParseTime(s)
			if failure != nil {
				err = fmt.Errorf("attribute time: %w", failure)
			}
			e.SetTime(t)
		},
		"datacontenttype": e.SetDataContentType,
	}
	seen := map[string]bool{}
	for _, p := range m.UserProperties {
		core := set[p.Name]
		switch {
		case !isAttribute(p.Name):
		case seen[p.Name] && core == nil:
		case seen[p.Name]:
			return e, fmt.Errorf("attribute %s is there twice", p.Name)
		case core != nil:
			core(p.Value)
		default:
			e.SetExtension(p.Name, p.Value)
		}
		seen[p.Name] = true
	}
	if !seen["specversion"] && err == nil {
		err = errors.New("no attribute specversion")
	}
	if m.ContentType != "" { // it counts
		e.SetDataContentType(m.ContentType)
	}
	if len(m.Payload) > 0 {
		e.DataEncoded = bytes.Clone(m.Payload)
		e.DataBase64 = !inJSON(m)
	}
	return e, err
}

// inJSON reports whether data can stand in the JSON of an event as it is.
func inJSON(m *mqtt.Message) bool {
	media, _, err := mime.ParseMediaType(m.ContentType)
	if err == nil && (strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json")) {
		return json.Valid(m.Payload)
	}
	return m.PayloadFormatUTF8 && m.ContentType != "" && utf8.Valid(m.Payload)
}

// isAttribute reports whether a user property can be an attribute of an event.
func isAttribute(name string) bool {
	if len(name) == 0 || len(name) > 20 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}
