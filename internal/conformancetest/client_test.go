package conformancetest

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// clientCannot are the checks that the client's API leaves no room for.
var clientCannot = map[string]string{
	"no-subscription-identifier 5.0": "a message that is published has none",
	"alias-0 5.0":                    "the library assigns aliases by itself",
	"alias-maximum 5.0":              "the library assigns aliases by itself",
}

// clientRemarks are what the client does where the text leaves a choice.
var clientRemarks = map[string]string{
	"maximum-qos-subscribe 5.0":   "asks for QoS 0",
	"puback-for-qos-2 5.0":        "ends the connection",
	"pubrec-for-qos-1 3.1.1":      "answers PUBREL",
	"pubrec-for-qos-1 5.0":        "answers PUBREL",
	"pubcomp-for-qos-1 3.1.1":     "ends the connection",
	"pubcomp-for-qos-1 5.0":       "ends the connection",
	"pubcomp-before-pubrel 3.1.1": "ends the connection",
	"pubcomp-before-pubrel 5.0":   "ends the connection",

	"reauthenticate-empty-auth 5.0": "ends the connection",
	"session-lost 5.0":              "publishes again as new messages",
	"expiry-0-ends-session 5.0":     "publishes again as new messages",
}

// The result of each check is the one that the papers promise, better ones as well.
func TestClientKeepsTheStatements(t *testing.T) {
	tolerance, err := os.ReadFile("../../docs/tolerance.md")
	require.NoError(t, err)
	results, err := conformance.ClientRun{Open: Open}.Run(t.Context())
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, r := range results {
		key := r.Name + " " + r.Version.String()
		seen[key] = true
		if row, departs := ClientDepartures[key]; departs {
			require.Contains(t, []conformance.Outcome{conformance.Departs, conformance.Fails}, r.Outcome, "%s", r)
			require.Equal(t, conformance.Departs, Explained([]conformance.Result{r})[0].Outcome, key)
			require.Contains(t, string(tolerance), "\n"+row, key)
			continue
		}
		if _, cannot := clientCannot[key]; cannot {
			require.Equal(t, conformance.Cannot, r.Outcome, "%s", r)
			continue
		}
		if r.Statement.NotObserved != "" {
			require.Equal(t, conformance.NotObserved, r.Outcome, "%s", r)
			continue
		}
		require.Equal(t, conformance.Passes, r.Outcome, "%s", r)
		require.Equal(t, clientRemarks[key], r.Detail, key)
	}
	for _, table := range []map[string]string{ClientDepartures, clientCannot, clientRemarks} {
		for key := range table {
			require.True(t, seen[key], "%s is no check", key)
		}
	}
}

func TestOnePlaceForEachResult(t *testing.T) {
	for key := range ClientDepartures {
		require.NotContains(t, clientCannot, key)
		require.NotContains(t, clientRemarks, key)
		require.Len(t, strings.Fields(key), 2)
	}
}
