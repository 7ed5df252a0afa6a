package message

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

func TestRecordsThatAreRefused(t *testing.T) {
	for _, line := range []string{
		``, `x`, `[]`, `{"topic":"a"} {}`, `{"topic":"a","paylod":"x"}`, `{"payload":"x","payload_base64":"eA=="}`,
		`{"correlation_data":"x","correlation_data_base64":"eA=="}`, `{"payload_base64":"?"}`, `{"qos":"1"}`,
	} {
		_, err := ParseRecord([]byte(line))
		require.Error(t, err, line)
	}
	r, err := ParseRecord([]byte(`{"qos":3}`))
	require.NoError(t, err)
	_, err = r.Message(mqtt.Message{})
	require.Error(t, err)
}

func TestRecordsKeepWhatTheyLeaveOut(t *testing.T) {
	base := mqtt.Message{Topic: "t", QoS: 1, Retain: true, ContentType: "c"}
	r, err := ParseRecord([]byte(`{"payload_json": {"a": [1, 2]}}`))
	require.NoError(t, err)
	m, err := r.Message(base)
	require.NoError(t, err)
	base.Payload = []byte(`{"a": [1, 2]}`)
	require.Equal(t, &base, m)
	r, err = ParseRecord([]byte(`{"topic":"u","qos":0,"retain":false,"message_expiry_interval":0}`))
	require.NoError(t, err)
	m, err = r.Message(base)
	require.NoError(t, err)
	require.Equal(t, mqtt.AtMostOnce, m.QoS)
	require.False(t, m.Retain)
	require.Equal(t, time.Duration(0), *m.MessageExpiryInterval)
}

func FuzzRecordsComeBack(f *testing.F) {
	f.Add("a/b", []byte("text"), []byte{0xff}, "content", "name", "value", true)
	f.Add("", []byte{0xff, 0}, []byte(nil), "", "", "", false)
	f.Add("<&>", []byte(`{"a":1.0e3}`), []byte("x"), "\u2028", "\x01", "\n", false)
	f.Fuzz(func(t *testing.T, topic string, payload, correlation []byte, content, name, value string, asJSON bool) {
		m := &mqtt.Message{Topic: topic, Payload: payload, ContentType: content, UserProperties: []mqtt.UserProperty{{Name: name, Value: value}}}
		if len(correlation) > 0 {
			m.CorrelationData = correlation
		}
		for _, s := range []string{topic, content, name, value} {
			if !utf8.ValidString(s) {
				return // no text of MQTT
			}
		}
		line, err := NewRecord(m, time.Now(), AutoEncoding).Append(nil, asJSON)
		require.NoError(t, err)
		r, err := ParseRecord(line)
		require.NoError(t, err)
		got, err := r.Message(mqtt.Message{})
		require.NoError(t, err)
		require.Equal(t, m.Topic, got.Topic)
		require.Equal(t, string(m.Payload), string(got.Payload))
		require.Equal(t, m.ContentType, got.ContentType)
		require.Equal(t, string(m.CorrelationData), string(got.CorrelationData))
		require.Equal(t, m.UserProperties, got.UserProperties)
	})
}
