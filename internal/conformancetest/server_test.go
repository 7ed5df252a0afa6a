package conformancetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// unseen are the statements that no setting of the broker shows.
var unseen = map[string]bool{"silent clients": true}

func TestBrokerKeepsTheStatements(t *testing.T) {
	results, err := CheckBroker(t.Context())
	require.NoError(t, err)
	require.Greater(t, len(results), 350)
	for _, r := range results {
		if unseen[r.Name] {
			require.Equal(t, conformance.NotObserved, r.Outcome, "%s", r)
			continue
		}
		require.Equal(t, conformance.Passes, r.Outcome, "%s", r)
	}
}
