package conformance_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// place says where this broker obeys statements, and which tests of its own it has for them.
type place struct {
	first string // the name of the first statement; the next place has the end
	about string
	file  string
	funcs []string
	test  string // a file
}

var places = []place{
	{allPackets, "what is sent", "session/server_answer.go", []string{"appendFitting"}, "wire/vectors_test.go"},
	{"CONNECT comes first", "the first packet", "session/server_connect.go", []string{"handleFirst"}, "session/server_connect_test.go"},
	{"protocol name", "CONNECT", "broker/connect.go", []string{"readConnect", "checkConnect"}, "broker/connect_test.go"},
	{"take-over", "take-over", "broker/connect_enter.go", []string{"takeOverLocked"}, "broker/connect_takeover_test.go"},
	{"nothing after a refusal", "refusals and identifiers", "broker/connect_refuse.go", []string{"refuse"}, "broker/connect_refuse_test.go"},
	{"reserved connect flag", "a CONNECT that breaks the rules", "wire/connect_decode.go", nil, "wire/vectors_test.go"},
	{"session goes on", "sessions", "broker/session_end.go", []string{"mayResume", "leave", "endSessionLocked"}, "broker/session_test.go"},
	{"CONNACK comes first", "CONNACK", "broker/connect_connack.go", []string{"connack", "fits"}, "broker/connect_test.go"},
	{"problem information", "answers that the client wants and that fit", "session/server_answer.go", []string{"problemInformation", "appendFitting"}, "session/server_test.go"},
	{"Maximum QoS and SUBSCRIBE", "what the broker has announced", "broker/connect_connack.go", []string{"announced"}, "broker/limits_client_test.go"},
	{"keep-alive", "keep-alive", "session/server_end.go", []string{"Deadline", "Tick"}, "session/server_end_test.go"},
	{"answers to PUBLISH", "PUBLISH", "broker/publish.go", []string{"handlePublish", "receive"}, "broker/publish_qos_test.go"},
	{"DUP is not passed on", "who gets a message", "broker/publish_route.go", []string{"route", "chooseLocked", "target"}, "broker/publish_properties_test.go"},
	{"properties are passed on", "properties of messages", "broker/session_queue.go", []string{"queueLocked", "withIDs"}, "broker/publish_properties_test.go"},
	{"retained message", "retained messages", "broker/retained.go", []string{"store", "remove", "purge"}, "broker/retained_test.go"},
	{"retained message again", "retained messages of a subscription", "broker/retained_subscribe.go", []string{"wantsRetained", "retainedForLocked"}, "broker/retained_walk_test.go"},
	{"RETAIN of live messages", "RETAIN", "broker/publish_route.go", []string{"target"}, "broker/retained_test.go"},
	{"aliases are accepted", "aliases of the client", "session/alias_incoming.go", []string{"resolve"}, "session/server_test.go"},
	{"no aliases unasked", "aliases of the broker", "session/alias_outgoing.go", []string{"choose", "appendAliased"}, "session/alias_outgoing_test.go"},
	{"PUBACK", "receiving QoS 1 and 2", "session/receiver.go", []string{"Publish", "AckWithReason", "Pubrel"}, "session/receiver_test.go"},
	{"identifiers of messages", "sending QoS 1 and 2", "session/sender_acks.go", []string{"Puback", "Pubrec", "Pubcomp"}, "session/sender_test.go"},
	{"expiry of a message that was sent", "expiry", "session/sender_due.go", []string{"expired", "ageExpiry"}, "session/sender_due_test.go"},
	{"order of repeats", "sending again, flow control, order", "session/sender.go", []string{"Pump"}, "session/quota_test.go"},
	{"SUBACK", "SUBSCRIBE", "broker/subscribe.go", []string{"handleSubscribe", "subscribe"}, "broker/subscribe_test.go"},
	{"# in the wrong place", "filters", "wire/filter.go", nil, "wire/vectors_test.go"},
	{"UNSUBACK", "UNSUBSCRIBE", "broker/subscribe_unsubscribe.go", []string{"handleUnsubscribe", "unsubscribe"}, "broker/subscribe_test.go"},
	{"one member for each message", "shared subscriptions", "broker/shared.go", []string{"pickLocked", "candidatesLocked"}, "broker/shared_model_test.go"},
	{"PINGRESP", "PINGREQ and DISCONNECT", "session/server_handle.go", []string{"handle", "handleDisconnect"}, "session/server_end_test.go"},
	{"unknown authentication method", "enhanced authentication", "broker/login_enhanced.go", []string{"chooseMethod", "exchange", "handleAuth"}, "broker/login_enhanced_test.go"},
	{"will after a cut", "wills", "broker/session_will.go", []string{"newWill", "publish"}, "broker/session_will_test.go"},
	{"forbidden PUBLISH", "rights", "broker/publish_answer.go", []string{"answerFailure"}, "broker/session_rights_publish_test.go"},
	{"packet type 0", "packets that break the rules", "wire/decoder_dispatch.go", nil, "broker/vectors_test.go"},
	{"WebSocket subprotocol", "WebSocket", "broker/listen_websocket.go", []string{"serveHTTP"}, "broker/listen_websocket_test.go"},
}

// showPlaces writes the table of places with the results of this broker.
func showPlaces(b *bytes.Buffer, own []conformance.Result) {
	b.WriteString("\n## This broker: where, and which tests\n\nAll statements are checked by `TestBrokerKeepsTheStatements` of internal/conformancetest. The tests of the last column are those that the code has besides.\n\n")
	b.WriteString("| statements | about | passes | of | where | tests |\n|---|---|---|---|---|---|\n")
	for i, p := range places {
		covered := statementsOf(i)
		passes, all := 0, 0
		for _, r := range own {
			if slices.Contains(covered, r.Name) {
				all++
				if r.Outcome == conformance.Passes {
					passes++
				}
			}
		}
		var where strings.Builder
		where.WriteString("`" + p.file + "`")
		for _, f := range p.funcs {
			where.WriteString(", `" + f + "`")
		}
		names := covered[0]
		if last := covered[len(covered)-1]; last != names {
			names += " … " + last
		}
		fmt.Fprintf(b, "| %s | %s | %d | %d | %s | `%s` |\n", names, p.about, passes, all, where.String(), p.test)
	}
}

// statementsOf returns the names of the statements that a place has.
func statementsOf(i int) (names []string) {
	begun := false
	for _, s := range conformance.ServerStatements() {
		if i+1 < len(places) && s.Name == places[i+1].first {
			break
		}
		begun = begun || s.Name == places[i].first
		if begun {
			names = append(names, s.Name)
		}
	}
	return names
}

func TestPlacesNameWhatExists(t *testing.T) {
	covered := 0
	for i, p := range places {
		require.NotEmpty(t, statementsOf(i), p.first)
		covered += len(statementsOf(i))
		code, err := os.ReadFile(filepath.Join("../../..", p.file))
		require.NoError(t, err)
		for _, f := range p.funcs {
			require.Regexp(t, `(?m)^func (\(\w* ?[^)]+\) )?`+f+`[(\[]`, string(code), "%s in %s", f, p.file)
		}
		require.FileExists(t, filepath.Join("../../..", p.test))
	}
	require.Equal(t, len(conformance.ServerStatements()), covered)
}
