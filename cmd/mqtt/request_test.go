package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestMosquittoRRGetsAResponse(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	mqtt(t, "respond", server.URL(), "sort", "-dd", "--", "sort", "-n").says("SUBACK")
	rr := foreign(t, "mosquitto_rr", append(address(server), "-t", "sort", "-e", "answer", "-m", "3\n1\n2", "-N", "-W", "100")...)
	require.Equal(t, "1\n2\n3\n", rr.succeeds())
}

func TestRequestGetsTheResponseOfMosquitto(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	for version := range versions {
		// The responder is a shell with Mosquitto's programs. Its subscription is there when
		// it has the retained message.
		mqtt(t, "pub", server.URL(), "ask/"+version, "ready", "-r", "-q", "1").succeeds()
		responder := foreign(t, "mosquitto_sub", append(address(server), "-t", "ask/"+version, "-C", "2", "-q", "1")...)
		responder.waitFor(responder.stdout, "ready")
		request := mqtt(t, "request", server.URL(), "-V", version, "--response-topic", "answer/"+version, "ask/"+version, "the question")
		require.Equal(t, "ready\nthe question\n", responder.succeeds())
		foreign(t, "mosquitto_pub", append(address(server), "-t", "answer/"+version, "-m", "42", "-q", "1")...).succeeds()
		require.Equal(t, "42\n", request.succeeds())
	}
}

func TestRespond(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	for _, test := range []struct {
		name, respond, response, stderr string
		code                            int
	}{
		{"echo", "--echo", "hello\n", "", 0},
		{"message", "-m hi", "hi\n", "", 0},
		{"template", "--template {{upper$.Payload}}", "HELLO\n", "", 0},
		{"environment", "-- sh -c printf$\"$MQTT_MESSAGE_TOPIC$$MQTT_MESSAGE_PROPERTY_A_B\"", "environment$1\n", "", 0},
		{"failure", "-- sh -c echo$broken$>&2;exit$3", "", `responder failed: "broken"`, 6},
		{"silent", "-- false", "", `responder failed: "exit status 1"`, 6},
		{"late", "-W 0.2 -- sleep 1000", "", "no response within 200ms", 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"respond", server.URL(), test.name, "-dd", "-v"}, strings.Fields(test.respond)...)
			for i := range args {
				args[i] = strings.ReplaceAll(strings.ReplaceAll(args[i], "$MQTT", "\x00"), "$", " ")
				args[i] = strings.ReplaceAll(args[i], "\x00", "$MQTT")
			}
			responder := mqtt(t, args...).says("SUBACK")
			p := mqtt(t, "request", server.URL(), test.name, "hello", "--property", "a-b=1")
			require.Equal(t, test.code, p.wait(), p.stderr)
			require.Equal(t, strings.ReplaceAll(test.response, "$", " "), p.stdout.String())
			require.Contains(t, p.stderr.String(), test.stderr)
			responder.waitFor(responder.stdout, test.name+" ")
		})
	}
}

func TestRespondBefore5(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	responder := mqtt(t, "respond", server.URL(), "-V", "3.1.1", "ask", "--to", "answer", "--echo", "-C", "1", "-dd").says("SUBACK")
	p := mqtt(t, "request", server.URL(), "-V", "3.1.1", "--response-topic", "answer", "ask", "x")
	require.Equal(t, "x\n", p.succeeds())
	responder.succeeds()
}

func TestSeveralRequests(t *testing.T) {
	t.Parallel()
	server := mosquitto.Start(t, mosquitto.Options{})
	mqtt(t, "respond", server.URL(), "echo", "--echo", "-dd").says("SUBACK")
	cmd := command(t, "request", server.URL(), "echo", "-l")
	cmd.Stdin = strings.NewReader("one\ntwo\nthree\n")
	require.Equal(t, "one\ntwo\nthree\n", start(t, cmd).succeeds())
}
