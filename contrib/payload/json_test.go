package payload_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/contrib/payload"
)

func TestJSONKeepsWhatItDoesNotSet(t *testing.T) {
	m := &mqtt.Message{Topic: "t", QoS: 1, ResponseTopic: "r", Payload: []byte("before")}
	require.NoError(t, readings.Encode(m, reading{"a", 1.5}))
	require.Equal(t, &mqtt.Message{Topic: "t", QoS: 1, ResponseTopic: "r",
		Payload: []byte(`{"sensor":"a","value":1.5}`), ContentType: "application/json", PayloadFormatUTF8: true}, m)
}

func TestDecodingJSON(t *testing.T) {
	for name, c := range map[string]struct {
		payload, contentType string
		lenient, strict      bool // decodes
	}{
		"a value":               {`{"value":1}`, "", true, true},
		"space around it":       {" {\"value\":1}\n", "", true, true},
		"null":                  {`null`, "", true, true},
		"JSON":                  {`{}`, "application/json; charset=utf-8", true, true},
		"a format of JSON":      {`{}`, "application/senml+json", true, true},
		"another type":          {`{}`, "text/plain", true, false},
		"no type":               {`{}`, ";", true, false},
		"an unknown member":     {`{"value":1,"unit":"C"}`, "", true, false},
		"not UTF-8":             {"{\"sensor\":\"\xff\"}", "", true, false},
		"nothing":               {"", "", false, false},
		"half a value":          {`{"value":1`, "", false, false},
		"two values":            {`{"value":1}{}`, "", false, false},
		"something behind it":   {`{"value":1}x`, "", false, false},
		"a bracket behind it":   {`{"value":1}]`, "", false, false},
		"another kind of value": {`[1]`, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := &mqtt.Message{Payload: []byte(c.payload), ContentType: c.contentType}
			_, err := readings.Decode(m)
			require.Equal(t, c.lenient, err == nil, "%v", err)
			_, err = payload.JSON[reading]{Strict: true}.Decode(m)
			require.Equal(t, c.strict, err == nil, "%v", err)
		})
	}
}

// FuzzJSON decodes whatever comes. What the strict decoder takes the other takes, too, with
// the same result.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{`{"sensor":"a","value":1.5}`, `[]`, `{"x":[1,{"y":null}]}`, `"`, "1 2", `{"value":1e999}`} {
		f.Add([]byte(text), "application/json")
	}
	f.Fuzz(func(t *testing.T, text []byte, contentType string) {
		m := &mqtt.Message{Payload: text, ContentType: contentType}
		strict, err := payload.JSON[reading]{Strict: true}.Decode(m)
		if err != nil {
			return
		}
		lenient, err := readings.Decode(m)
		require.NoError(t, err)
		require.Equal(t, strict, lenient)
		require.True(t, json.Valid(text))
		require.NoError(t, readings.Encode(m, strict))
		again, err := payload.JSON[reading]{Strict: true}.Decode(m)
		require.NoError(t, err)
		require.Equal(t, strict, again)
	})
}
