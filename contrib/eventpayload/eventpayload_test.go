package eventpayload_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/eventpayload"
	"github.com/seed65a45251/mqtt/wire"
)

var (
	structured = eventpayload.Codec{}
	binary     = eventpayload.Codec{Binary: true}
)

// full is an event with everything that one can have.
func full(t *testing.T, contentType string, data any) event.Event {
	t.Helper()
	e := event.New()
	e.SetID("1234-1234")
	e.SetSource("/mycontext/sub")
	e.SetType("com.example.someevent")
	e.SetSubject("großes Ding")
	e.SetDataSchema("https://example.com/schema")
	e.SetTime(time.Date(2026, 4, 5, 3, 56, 24, 500, time.UTC))
	e.SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	e.SetExtension("flag", true)
	e.SetExtension("count", 42)
	if data != nil {
		require.NoError(t, e.SetData(contentType, data))
	}
	require.NoError(t, e.Validate())
	return e
}

// requireSame compares what goes over the wire of two events. In binary mode extensions
// have no type but text.
func requireSame(t *testing.T, want, got event.Event) {
	t.Helper()
	require.Equal(t, want.Context.AsV1().ID, got.Context.AsV1().ID)
	require.Equal(t, want.Source(), got.Source())
	require.Equal(t, want.Type(), got.Type())
	require.Equal(t, want.Subject(), got.Subject())
	require.Equal(t, want.DataSchema(), got.DataSchema())
	require.Equal(t, want.DataContentType(), got.DataContentType())
	require.True(t, want.Time().Equal(got.Time()), "%v, %v", want.Time(), got.Time())
	require.Equal(t, string(want.Data()), string(got.Data()))
	require.Len(t, got.Extensions(), len(want.Extensions()))
	for name, v := range want.Extensions() {
		require.Equal(t, fmt.Sprint(v), fmt.Sprint(got.Extensions()[name]), name)
	}
}

func TestEventsGoThroughTheBroker(t *testing.T) {
	events := map[string]event.Event{
		"JSON":  full(t, "application/json", map[string]any{"value": 21.5}),
		"text":  full(t, "text/plain", "ein Text mit ß"),
		"bytes": full(t, "application/octet-stream", []byte{0, 1, 2, 0xff}),
		"none":  full(t, "", nil),
	}
	for _, c := range []struct {
		name    string
		version mqtt.Version
		codec   eventpayload.Codec
	}{{"structured", mqtt.V5, structured}, {"binary", mqtt.V5, binary}, {"structured on 3.1.1", mqtt.V311, structured}} {
		t.Run(c.name, func(t *testing.T) {
			b := broker.New(broker.Config{})
			defer b.Close()
			client, err := mqtt.Connect(t.Context(), "mqtt://broker", mqtt.Config{Version: c.version,
				Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }})
			require.NoError(t, err)
			defer client.Close()
			sub, err := client.Subscribe(t.Context(), "t", mqtt.AtLeastOnce)
			require.NoError(t, err)
			for name, e := range events {
				m := &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce}
				require.NoError(t, c.codec.Encode(m, e))
				if c.version < mqtt.V5 {
					m.ContentType, m.PayloadFormatUTF8 = "", false // as payload.Publish does
				}
				require.NoError(t, client.PublishMessage(t.Context(), m), name)
				got, err := sub.Next(t.Context())
				require.NoError(t, err)
				decoded, err := structured.Decode(got)
				require.NoError(t, err, name)
				requireSame(t, e, decoded)
				clear(got.Payload) // the event has nothing of it
				requireSame(t, e, decoded)
			}
			if c.version < mqtt.V5 {
				m := &mqtt.Message{Topic: "t"}
				require.NoError(t, binary.Encode(m, events["JSON"]))
				_, ok := errors.AsType[*wire.FieldError](client.PublishMessage(t.Context(), m))
				require.True(t, ok)
			}
		})
	}
}

// The example of section 3.1.4 of the binding, with a time that is one.
func TestBinaryModeOnTheWire(t *testing.T) {
	m := &mqtt.Message{Topic: "mytopic", QoS: 1, UserProperties: []mqtt.UserProperty{{Name: "Own", Value: "first"}}}
	e := full(t, "application/json; charset=utf-8", []byte(`{"a":1}`))
	e.DataBase64 = false
	require.NoError(t, binary.Encode(m, e))
	require.Equal(t, &mqtt.Message{
		Topic: "mytopic", QoS: 1, Payload: []byte(`{"a":1}`), ContentType: "application/json; charset=utf-8", PayloadFormatUTF8: true,
		UserProperties: []mqtt.UserProperty{
			{Name: "Own", Value: "first"},
			{Name: "specversion", Value: "1.0"}, {Name: "id", Value: "1234-1234"}, {Name: "source", Value: "/mycontext/sub"},
			{Name: "type", Value: "com.example.someevent"}, {Name: "dataschema", Value: "https://example.com/schema"},
			{Name: "subject", Value: "großes Ding"}, {Name: "time", Value: "2026-04-05T03:56:24.0000005Z"},
			{Name: "count", Value: "42"}, {Name: "flag", Value: "true"},
			{Name: "traceparent", Value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
			{Name: "datacontenttype", Value: "application/json; charset=utf-8"},
		},
	}, m)
	again, err := binary.Decode(m)
	require.NoError(t, err)
	requireSame(t, e, again)
	require.EqualError(t, binary.Encode(m, e), "attribute specversion: the message has a user property with this name")
}

func TestStructuredModeOnTheWire(t *testing.T) {
	m := &mqtt.Message{Topic: "mytopic", ResponseTopic: "r"}
	e := full(t, "application/json", map[string]any{"a": 1})
	require.NoError(t, structured.Encode(m, e))
	require.Equal(t, "application/cloudevents+json; charset=utf-8", m.ContentType)
	require.True(t, m.PayloadFormatUTF8)
	require.Equal(t, "r", m.ResponseTopic)
	require.JSONEq(t, `{"specversion":"1.0","id":"1234-1234","source":"/mycontext/sub","type":"com.example.someevent",
		"subject":"großes Ding","dataschema":"https://example.com/schema","time":"2026-04-05T03:56:24.0000005Z",
		"datacontenttype":"application/json","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"flag":true,"count":42,"data":{"a":1}}`, string(m.Payload))
}

// Some senders say the type of the data only in a user property.
func TestTypeOfDataInAUserProperty(t *testing.T) {
	m := new(mqtt.Message)
	require.NoError(t, binary.Encode(m, full(t, "application/json", map[string]any{"a": 1})))
	m.ContentType = ""
	e, err := binary.Decode(m)
	require.NoError(t, err)
	require.Equal(t, "application/json", e.DataContentType())
}

// An event without a type of its data means JSON, which the binary mode has to say.
func TestImpliedTypeOfData(t *testing.T) {
	e, err := structured.Decode(&mqtt.Message{Payload: []byte(`{"specversion":"1.0","id":"1","source":"/","type":"t","data":"I'm just a string"}`)})
	require.NoError(t, err)
	m := new(mqtt.Message)
	require.NoError(t, binary.Encode(m, e))
	require.Equal(t, "application/json", m.ContentType)
	require.Equal(t, `"I'm just a string"`, string(m.Payload))
}

func TestWhichMessagesAreEvents(t *testing.T) {
	const minimal = `{"specversion":"1.0","id":"1","source":"/","type":"t"}`
	attributes := func(list ...string) (all []mqtt.UserProperty) {
		for _, s := range list {
			name, value, _ := strings.Cut(s, "=")
			all = append(all, mqtt.UserProperty{Name: name, Value: value})
		}
		return all
	}
	good := []string{"specversion=1.0", "id=1", "source=/", "type=t"}
	for name, c := range map[string]struct {
		m     mqtt.Message
		fault string // "": it is an event
	}{
		"structured":                {mqtt.Message{ContentType: "application/cloudevents+json", Payload: []byte(minimal)}, ""},
		"structured, upper case":    {mqtt.Message{ContentType: "Application/CloudEvents+JSON; charset=UTF-8", Payload: []byte(minimal)}, ""},
		"structured, implied":       {mqtt.Message{Payload: []byte(minimal)}, ""},
		"null is no value":          {mqtt.Message{Payload: []byte(minimal[:len(minimal)-1] + `,"subject":null}`)}, ""},
		"another format":            {mqtt.Message{ContentType: "application/cloudevents+avro", Payload: []byte(minimal)}, "not supported"},
		"a batch":                   {mqtt.Message{ContentType: "application/cloudevents-batch+json", Payload: []byte("[" + minimal + "]")}, "not supported"},
		"half a media type":         {mqtt.Message{ContentType: "application/cloudevents", Payload: []byte(minimal)}, "not supported"},
		"no JSON":                   {mqtt.Message{Payload: []byte("hello")}, "invalid character"},
		"nothing":                   {mqtt.Message{}, "unexpected end"},
		"something behind it":       {mqtt.Message{Payload: []byte(minimal + "x")}, "invalid character"},
		"no id":                     {mqtt.Message{Payload: []byte(`{"specversion":"1.0","source":"/","type":"t"}`)}, "id:"},
		"version 0.3":               {mqtt.Message{Payload: []byte(`{"specversion":"0.3","id":"1","source":"/","type":"t"}`)}, `version "0.3"`},
		"data and base64":           {mqtt.Message{Payload: []byte(minimal[:len(minimal)-1] + `,"data_base64":"%"}`)}, "base64"},
		"binary":                    {mqtt.Message{ContentType: "text/plain", UserProperties: attributes(good...), Payload: []byte("x")}, ""},
		"binary, no content type":   {mqtt.Message{UserProperties: attributes(good...), Payload: []byte("{")}, ""},
		"its type in a property":    {mqtt.Message{ContentType: "a/b", UserProperties: attributes(append(good, "datacontenttype=c/d")...)}, ""},
		"other properties":          {mqtt.Message{UserProperties: attributes(append(good, "Not-An-Attribute=x", "Not-An-Attribute=y", "=", "dead-letter-topic=t")...)}, ""},
		"an extension twice":        {mqtt.Message{UserProperties: attributes(append(good, "traceparent=a", "traceparent=b")...)}, ""},
		"binary, id twice":          {mqtt.Message{UserProperties: attributes(append(good, "id=2")...)}, "attribute id is there twice"},
		"binary, no type":           {mqtt.Message{UserProperties: attributes(good[:3]...)}, "type:"},
		"binary, bad time":          {mqtt.Message{UserProperties: attributes(append(good, "time=noon")...)}, "attribute time"},
		"binary, bad source":        {mqtt.Message{UserProperties: attributes("specversion=1.0", "id=1", "source=%", "type=t")}, "source"},
		"binary, version 0.3":       {mqtt.Message{UserProperties: attributes("specversion=0.3", "id=1", "source=/", "type=t")}, `version "0.3"`},
		"some other message":        {mqtt.Message{ContentType: "text/plain", Payload: []byte("hello")}, "no attribute specversion"},
		"a bad type of its content": {mqtt.Message{ContentType: ";", UserProperties: attributes(good...)}, "datacontenttype"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := structured.Decode(&c.m)
			if c.fault == "" {
				require.NoError(t, err)
				require.Equal(t, "1", e.ID())
				require.Equal(t, c.m.ContentType != "" && !strings.Contains(strings.ToLower(c.m.ContentType), "cloudevents"), e.DataContentType() != "")
				return
			}
			require.ErrorContains(t, err, c.fault)
			require.Equal(t, event.Event{}, e)
		})
	}
}

func TestOnlyValidEventsAreEncoded(t *testing.T) {
	for _, codec := range []eventpayload.Codec{structured, binary} {
		m := &mqtt.Message{Payload: []byte("before")}
		require.ErrorContains(t, codec.Encode(m, event.New()), "event: ")
		require.ErrorContains(t, codec.Encode(m, event.Event{}), "specversion")
		old := event.New(event.CloudEventsVersionV03)
		old.SetID("1")
		old.SetSource("/")
		old.SetType("t")
		require.ErrorContains(t, codec.Encode(m, old), `version "0.3"`)
		require.Equal(t, &mqtt.Message{Payload: []byte("before")}, m)
	}
}

// FuzzDecode decodes whatever comes. An event is the same when it has gone around once
// more in either mode.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/","type":"t","data":{"a":1},"x":1}`), "", "")
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/","type":"t","data_base64":"AAEC"}`), "application/cloudevents+json", "")
	f.Add([]byte("text"), "text/plain", "specversion=1.0\nid=1\nsource=/\ntype=t\ntime=2026-01-01T00:00:00Z\nx=y")
	f.Fuzz(func(t *testing.T, text []byte, contentType, properties string) {
		m := &mqtt.Message{Payload: text, ContentType: contentType}
		for line := range strings.SplitSeq(properties, "\n") {
			name, value, _ := strings.Cut(line, "=")
			m.UserProperties = append(m.UserProperties, mqtt.UserProperty{Name: name, Value: value})
		}
		e, err := structured.Decode(m)
		if err != nil {
			return
		}
		for _, codec := range []eventpayload.Codec{structured, binary} {
			next := new(mqtt.Message)
			if codec.Encode(next, e) != nil {
				continue // data that is no text in JSON
			}
			again, err := codec.Decode(next)
			if err == nil {
				require.Equal(t, e.ID(), again.ID())
				require.Equal(t, e.Type(), again.Type())
			}
		}
	})
}
