package conformancetest

import (
	"slices"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// ClientDepartures are the statements that the client does not keep to the letter, with
// the beginning of the row in docs/tolerance.md that says why.
var ClientDepartures = map[string]string{
	"property-unknown-connack 5.0":    "| §2.2.2.2 |",
	"maximum-qos-2 5.0":               "| §3.2.2.3.4 |",
	"maximum-packet-size-0 5.0":       "| §3.2.2.3.6 |",
	"present-without-state 5.0":       "| [MQTT-3.2.2-4] |",
	"present-after-clean-start 5.0":   "| [MQTT-3.2.2-2] 5.0",
	"present-after-clean-start 3.1.1": "| [MQTT-3.2.2-2] 5.0",
	"connack-rest 3.1.1":              "| §3.2.1, §3.4.2 3.1.1",
	"puback-code-listed 5.0":          "| [MQTT-3.4.2-1], [MQTT-3.5.2-1]",
	"pubrec-code-listed 5.0":          "| [MQTT-3.4.2-1], [MQTT-3.5.2-1]",
	"pubrel-code-listed 5.0":          "| [MQTT-3.4.2-1], [MQTT-3.5.2-1]",
	"pubcomp-code-listed 5.0":         "| [MQTT-3.4.2-1], [MQTT-3.5.2-1]",
	"ack-of-two-bytes 3.1.1":          "| §3.2.1, §3.4.2 3.1.1",
	"puback-for-qos-2 3.1.1":          "| [MQTT-4.3.3-8] |",
	"suback-codes-listed 3.1.1":       "| [MQTT-3.9.3-2] |",
	"suback-codes-listed 5.0":         "| [MQTT-3.9.3-2] |",
	"unsuback-codes-listed 5.0":       "| [MQTT-3.11.3-1], [MQTT-3.11.3-2] |",
	"alias-unallowed 5.0":             "| [MQTT-3.1.2-26], [MQTT-3.1.2-27] |",
	"unsuback-rest 3.1.1":             "| §3.11 3.1.1 |",
}

// Explained returns the results of this project's client with its documented departures:
// they depart, and say why.
func Explained(results []conformance.Result) []conformance.Result {
	explained := slices.Clone(results)
	for i, r := range explained {
		if _, departs := ClientDepartures[r.Name+" "+r.Version.String()]; departs && r.Outcome != conformance.Passes {
			explained[i].Outcome = conformance.Departs
			explained[i].Detail = r.Detail + "; docs/tolerance.md says why"
		}
	}
	return explained
}
