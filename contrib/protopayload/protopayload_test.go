package protopayload_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/protopayload"
)

var structs protopayload.Codec[*structpb.Struct]

func value(t *testing.T) *structpb.Struct {
	t.Helper()
	v, err := structpb.NewStruct(map[string]any{"sensor": "a", "values": []any{1.0, 2.5, nil, true}})
	require.NoError(t, err)
	return v
}

func TestValuesGoThroughTheBroker(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run(v.String(), func(t *testing.T) {
			b := broker.New(broker.Config{})
			defer b.Close()
			client, err := mqtt.Connect(t.Context(), "mqtt://broker", mqtt.Config{Version: v,
				Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }})
			require.NoError(t, err)
			defer client.Close()
			sub, err := client.Subscribe(t.Context(), "t", mqtt.AtLeastOnce)
			require.NoError(t, err)
			m := &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce}
			require.NoError(t, structs.Encode(m, value(t)))
			require.Equal(t, "application/protobuf", m.ContentType)
			if v < mqtt.V5 {
				m.ContentType = "" // as payload.Publish does
			}
			require.NoError(t, client.PublishMessage(t.Context(), m))
			got, err := sub.Next(t.Context())
			require.NoError(t, err)
			require.Equal(t, m.ContentType, got.ContentType)
			decoded, err := structs.Decode(got)
			require.NoError(t, err)
			require.True(t, proto.Equal(value(t), decoded))
		})
	}
}

func TestZeroValueIsAnEmptyPayload(t *testing.T) {
	var codec protopayload.Codec[*durationpb.Duration]
	m := &mqtt.Message{Topic: "t", ResponseTopic: "r", PayloadFormatUTF8: true}
	require.NoError(t, codec.Encode(m, new(durationpb.Duration)))
	require.Equal(t, &mqtt.Message{Topic: "t", ResponseTopic: "r", Payload: []byte{}, ContentType: protopayload.ContentType}, m)
	v, err := codec.Decode(m)
	require.NoError(t, err)
	require.Zero(t, v.AsDuration())
}

func TestWhatCannotBeEncodedLeavesTheMessage(t *testing.T) {
	var codec protopayload.Codec[*wrapperspb.StringValue]
	m := &mqtt.Message{Payload: []byte("before")}
	require.Error(t, codec.Encode(m, wrapperspb.String("\xff"))) // not UTF-8
	require.Equal(t, &mqtt.Message{Payload: []byte("before")}, m)
}

func TestDecodingLooksAtTheProperties(t *testing.T) {
	for contentType, taken := range map[string]bool{
		"": true, "application/protobuf": true, "APPLICATION/Protobuf; encoding=binary": true, "application/x-protobuf": true,
		"application/x-protobuffer": true, "application/vnd.google.protobuf; proto=a.B": true, "application/octet-stream": true,
		"application/json": false, "application/protobuf+json; charset=utf-8": false, ";": false,
	} {
		m := new(mqtt.Message)
		require.NoError(t, structs.Encode(m, value(t)))
		m.ContentType = contentType
		_, err := structs.Decode(m)
		require.Equal(t, taken, err == nil, "%q: %v", contentType, err)
		m.PayloadFormatUTF8 = true
		_, err = structs.Decode(m)
		require.EqualError(t, err, "is text")
	}
}

func TestMalformedPayload(t *testing.T) {
	m := new(mqtt.Message)
	require.NoError(t, structs.Encode(m, value(t)))
	for n := 1; n < len(m.Payload); n++ {
		v, err := structs.Decode(&mqtt.Message{Payload: m.Payload[:n]})
		require.Equal(t, err != nil, v == nil)
	}
	deep := protopayload.Codec[*structpb.Value]{Unmarshal: proto.UnmarshalOptions{RecursionLimit: 4}}
	nested := structpb.NewNumberValue(1)
	for range 10 {
		nested = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{nested}})
	}
	require.NoError(t, deep.Encode(m, nested))
	_, err := deep.Decode(m)
	require.ErrorContains(t, err, "recursion")
}

func TestDecodedValueKeepsNothingOfTheMessage(t *testing.T) {
	var codec protopayload.Codec[*wrapperspb.BytesValue]
	m := new(mqtt.Message)
	require.NoError(t, codec.Encode(m, wrapperspb.Bytes([]byte(strings.Repeat("x", 100)))))
	v, err := codec.Decode(m)
	require.NoError(t, err)
	clear(m.Payload)
	require.Equal(t, strings.Repeat("x", 100), string(v.Value))
}

// FuzzDecode decodes whatever comes. What was decoded is the same when it has gone around
// once more.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{}, "")
	f.Add([]byte("\x0a\x05\x0a\x01a\x12\x00"), "application/protobuf")
	f.Add([]byte("\x0a\xff\xff\xff\xff\x0f"), "application/octet-stream")
	f.Fuzz(func(t *testing.T, text []byte, contentType string) {
		v, err := structs.Decode(&mqtt.Message{Payload: text, ContentType: contentType})
		if err != nil {
			return
		}
		m := new(mqtt.Message)
		require.NoError(t, structs.Encode(m, v))
		again, err := structs.Decode(m)
		require.NoError(t, err)
		require.True(t, proto.Equal(v, again))
	})
}
