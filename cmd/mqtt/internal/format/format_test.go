package format

import (
	"io"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/output"
)

var at = time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)

func printed(t *testing.T, m *mqtt.Message, out *output.Stream, args ...string) string {
	f := &Flags{}
	cmd := &cobra.Command{}
	f.Add(cmd)
	require.NoError(t, cmd.ParseFlags(args))
	p, err := f.Printer(out)
	require.NoError(t, err)
	text, err := p.Print(m, at)
	require.NoError(t, err)
	return string(text)
}

func TestFormats(t *testing.T) {
	m := &mqtt.Message{
		Topic: "a/b", Payload: []byte(`{"t":1}`), QoS: 1, Retain: true, ContentType: "text/x",
		MessageExpiryInterval: new(time.Minute), CorrelationData: []byte("c"), ResponseTopic: "r",
		UserProperties: []mqtt.UserProperty{{Name: "n", Value: "v"}, {Name: "n", Value: "w"}}, SubscriptionIDs: []uint32{1, 2},
	}
	for _, test := range []struct{ flag, value, want string }{
		{"--format", "%t %p %q %r %d %l", "a/b {\"t\":1} 1 1 0 7\n"},
		{"--format", "%C|%D|%E|%F|%R|%P|%S", "text/x|c|60||r|n:v n:w|1 2\n"},
		{"--format", `%x\t%X%%\n`, "7b2274223a317d\t7B2274223A317D%\n\n"},
		{"--format", "%U %I", "1770091506.000000007 2026-02-03T04:05:06+0000\n"},
		{"--format", "%J", `{"time":"2026-02-03T04:05:06.000000007Z","topic":"a/b","payload_json":{"t":1},"qos":1,"retain":true,` +
			`"message_expiry_interval":60,"content_type":"text/x","response_topic":"r","correlation_data":"c",` +
			`"user_properties":[{"name":"n","value":"v"},{"name":"n","value":"w"}],"subscription_ids":[1,2]}` + "\n"},
		{"--template", `{{level 2 .Topic}} {{(json .Payload).t}} {{.Property "n"}} {{.Expiry}} {{.QoS}}`, "b 1 v 1m0s 1\n"},
		{"--hex", "true", "7b2274223a317d\n"},
		{"--hexdump", "true", "00000000  7b 22 74 22 3a 31 7d                              |{\"t\":1}|\n"},
		{"--pretty", "true", "{\n  \"t\": 1\n}\n"},
		{"--no-eol", "true", `{"t":1}`},
		{"--verbose", "true", "a/b {\"t\":1}\n"},
	} {
		require.Equal(t, test.want, printed(t, m, &output.Stream{Writer: io.Discard}, test.flag+"="+test.value), test.value)
	}
}

// Nothing that comes from a server gets to a terminal as it is, whatever the format.
func TestNothingControlsTheTerminal(t *testing.T) {
	const evil = "\x1b]0;x\a\u009b2J\u202e\x7f"
	m := &mqtt.Message{
		Topic: evil, Payload: []byte(evil + "\xff\r"), ContentType: evil, ResponseTopic: evil, CorrelationData: []byte(evil),
		UserProperties: []mqtt.UserProperty{{Name: evil, Value: evil}},
	}
	for _, args := range [][]string{
		{}, {"-v"}, {"--json"}, {"--json", "--pretty"}, {"--format=%t%p%C%R%D%P%j"}, {"--template={{.Topic}}{{.Payload}}{{.ContentType}}"}, {"--hexdump", "-v"},
	} {
		text := printed(t, m, &output.Stream{Writer: io.Discard, Terminal: true}, args...)
		require.Equal(t, text, output.Clean(text, true), args)
	}
}
