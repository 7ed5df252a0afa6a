package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/contrib/eventpayload"
)

// eventMessage is a message with an event, as js/events.cjs has it.
type eventMessage struct {
	ContentType string            `json:"contentType"`
	Payload     string            `json:"payload"`
	Properties  map[string]string `json:"properties"`
}

// askEvents asks the SDK of CloudEvents for JavaScript.
func askEvents(t *testing.T, question, answer any) {
	t.Helper()
	_, err := os.Stat(filepath.Join("js", "node_modules", "cloudevents"))
	require.NoError(t, err, "run npm ci in js")
	line, err := json.Marshal(question)
	require.NoError(t, err)
	sdk := exec.CommandContext(t.Context(), "node", filepath.Join("js", "events.cjs"))
	sdk.Stdin, sdk.Stderr = bytes.NewReader(append(line, '\n')), os.Stderr
	out, err := sdk.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, answer), "%s", out)
}

// sample is an event in JSON.
const sample = `{"specversion":"1.0","id":"1234","source":"/my/context","type":"com.example.someevent","subject":"großes Ding",
	"time":"2026-04-05T03:56:24.000Z","datacontenttype":"application/json","traceparent":"00-0af7-b7ad-01","data":{"a":[1,null,"ß"]}}`

// Events go to and fro between our codec and the SDK for JavaScript, in both modes.
func TestEventsOfTheSDKForJavaScript(t *testing.T) {
	for mode, codec := range map[string]eventpayload.Codec{"structured": {}, "binary": {Binary: true}} {
		t.Run(mode, func(t *testing.T) {
			var theirs eventMessage
			askEvents(t, map[string]any{"mode": mode, "event": json.RawMessage(sample)}, &theirs)
			m := &mqtt.Message{ContentType: theirs.ContentType, Payload: []byte(theirs.Payload)}
			for name, value := range theirs.Properties {
				m.UserProperties = append(m.UserProperties, mqtt.UserProperty{Name: name, Value: value})
			}
			e, err := codec.Decode(m)
			require.NoError(t, err)
			text, err := json.Marshal(e)
			require.NoError(t, err)
			requireSampleEvent(t, text)

			require.NoError(t, json.Unmarshal([]byte(sample), &e))
			m = new(mqtt.Message)
			require.NoError(t, codec.Encode(m, e))
			ours := eventMessage{m.ContentType, string(m.Payload), map[string]string{}}
			for _, p := range m.UserProperties {
				ours.Properties[p.Name] = p.Value
			}
			var found json.RawMessage
			askEvents(t, ours, &found)
			requireSampleEvent(t, found)
		})
	}
}

// requireSampleEvent compares an event in JSON with the sample. Times may be written in
// more than one way.
func requireSampleEvent(t *testing.T, text []byte) {
	t.Helper()
	var want, got event.Event
	require.NoError(t, json.Unmarshal([]byte(sample), &want))
	require.NoError(t, json.Unmarshal(text, &got), "%s", text)
	require.True(t, want.Time().Equal(got.Time()), "%s", text)
	got.SetTime(want.Time())
	require.Equal(t, want.Context, got.Context)
	require.JSONEq(t, string(want.Data()), string(got.Data()))
}
