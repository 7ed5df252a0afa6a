package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain is also the process of our broker, which load starts as itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := run(os.Args[1:]); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

func TestAllScenariosInSmall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures.json")
	require.NoError(t, run([]string{
		"-sessions", "50", "-subscribers", "20", "-messages", "3", "-churn", "30", "-clients", "4", "-rounds", "1", "-json", file,
	}))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var r result
	require.NoError(t, json.Unmarshal(text, &r))
	require.Len(t, r.Servers, 2)
	require.Len(t, r.Rounds, 11)
	for name, servers := range r.Rounds {
		for _, server := range r.Servers {
			require.Len(t, servers[server], 1, name)
		}
	}
	require.Positive(t, median(r.Rounds["fan-out: deliveries per second, many messages"][r.Servers[0]]))
	var printed bytes.Buffer
	r.print(&printed)
	require.Contains(t, printed.String(), "mosquitto 2")
}

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
}

func TestNumbersHaveToBePositive(t *testing.T) {
	require.Error(t, run([]string{"-sessions", "0"}))
	require.Error(t, run([]string{"-nonsense"}))
}

func TestShort(t *testing.T) {
	require.Equal(t, "517456", short(517456.2))
	require.Equal(t, "7.71", short(7.7123))
}
