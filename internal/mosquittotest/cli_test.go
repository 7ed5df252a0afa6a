package mosquittotest

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// cli are Mosquitto's own names of the versions.
var cli = map[mqtt.Version]string{mqtt.V31: "mqttv31", mqtt.V311: "mqttv311", mqtt.V5: "mqttv5"}

// command prepares mosquitto_pub or mosquitto_sub. Without it the test
// is skipped, or fails when MQTT_REQUIRE_SERVERS is set.
func command(t *testing.T, program string, server *mosquitto.Server, v mqtt.Version, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("MQTT_REQUIRE_SERVERS") != "" {
			t.Fatal("MQTT_REQUIRE_SERVERS is set:", err)
		}
		t.Skipf("needs %s: apt-get install mosquitto-clients", program)
	}
	host, port, err := net.SplitHostPort(server.Addr())
	require.NoError(t, err)
	args = append([]string{"-h", host, "-p", port, "-V", cli[v]}, args...)
	return exec.CommandContext(testContext(t), path, args...)
}

func TestMosquittoPubIsUnderstood(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	for _, theirs := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(theirs.String(), func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v mqtt.Version) {
				client := connectTo(t, server.URL(), mqtt.Config{Version: v})
				sub := subscribeTo(t, client, "cli/#", mqtt.ExactlyOnce)
				for _, qos := range everyQoS {
					const payload = "21.5 °C\x00\xff"
					args := []string{"-t", "cli/temp", "-q", string('0' + byte(qos)), "-s"}
					if theirs == mqtt.V5 {
						args = append(args, "-D", "publish", "content-type", "text/plain",
							"-D", "publish", "user-property", "b", "1", "-D", "publish", "user-property", "a", "2",
							"-D", "publish", "user-property", "b", "3")
					}
					cmd := command(t, "mosquitto_pub", server, theirs, args...)
					cmd.Stdin = strings.NewReader(payload)
					out, err := cmd.CombinedOutput()
					require.NoError(t, err, "%s", out)
					m := receive(t, sub)
					require.Equal(t, "cli/temp", m.Topic)
					require.Equal(t, payload, string(m.Payload))
					require.Equal(t, qos, m.QoS)
					if theirs == mqtt.V5 && client.ServerInfo().Version == mqtt.V5 {
						require.Equal(t, "text/plain", m.ContentType)
						require.Equal(t, []mqtt.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}}, m.UserProperties)
					}
				}
			})
		})
	}
}

func TestMosquittoSubUnderstands(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	for _, theirs := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(theirs.String(), func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v mqtt.Version) {
				ctx := testContext(t)
				client := connectTo(t, server.URL(), mqtt.Config{Version: v})
				// A retained message tells when it has subscribed.
				require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: "cli/ready", Payload: []byte("ready"), QoS: mqtt.AtLeastOnce, Retain: true}))
				cmd := command(t, "mosquitto_sub", server, theirs, "-t", "cli/+", "-q", "2", "-C", "4", "-F", "%j")
				stdout, err := cmd.StdoutPipe()
				require.NoError(t, err)
				cmd.Stderr = cmd.Stdout
				require.NoError(t, cmd.Start())
				lines := bufio.NewReader(stdout)
				next := func() (m struct {
					Topic, Payload string
					QoS, Retain    int
				}) {
					line, err := lines.ReadBytes('\n')
					require.NoError(t, err)
					require.NoError(t, json.Unmarshal(line, &m), "%s", line)
					return m
				}
				require.Equal(t, "ready", next().Payload)
				for _, qos := range everyQoS {
					m := &mqtt.Message{Topic: "cli/temp", Payload: []byte("21.5 °C"), QoS: qos}
					if client.ServerInfo().Version == mqtt.V5 {
						m = fullMessage("cli/temp", qos)
						m.Payload = []byte("21.5 °C")
					}
					require.NoError(t, client.PublishMessage(ctx, m))
					got := next()
					require.Equal(t, "cli/temp", got.Topic)
					require.Equal(t, "21.5 °C", got.Payload)
					require.Equal(t, int(qos), got.QoS)
					require.Zero(t, got.Retain)
				}
				_, err = io.Copy(io.Discard, lines)
				require.NoError(t, err)
				require.NoError(t, cmd.Wait())
			})
		})
	}
}

func TestMosquittoSubSeesTheProperties(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	m := fullMessage("cli/properties", mqtt.ExactlyOnce)
	m.UserProperties = slices.DeleteFunc(m.UserProperties, func(p mqtt.UserProperty) bool { return p.Name == "" })
	m.CorrelationData = []byte("42")
	m.Retain = true
	require.NoError(t, client.PublishMessage(testContext(t), m))
	// Content type, format, response topic, correlation data, user properties, retain, payload.
	cmd := command(t, "mosquitto_sub", server, mqtt.V5, "-t", m.Topic, "-C", "1", "-F", "%C|%F|%R|%D|%P|%r|%p")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "text/plain; charset=utf-8|1|answers/42|42|b:1 a:2 b:3 b:1|1|čau\n", string(out))
}
