package main

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestManyClientsAreCarriedAndComeBack(t *testing.T) {
	const clients = 20
	dir := t.TempDir()
	figures, plot := filepath.Join(dir, "figures.json"), filepath.Join(dir, "storm.svg")
	require.NoError(t, run([]string{
		"carry", "-count", "20", "-outage", "300ms", "-spread", "2s", "-json", figures, "-plot", plot,
	}))
	text, err := os.ReadFile(figures)
	require.NoError(t, err)
	var r carried
	require.NoError(t, json.Unmarshal(text, &r))
	require.Equal(t, clients, r.Clients)
	require.Equal(t, 5.0, r.Goroutines, "ARCHITECTURE.md says so")
	require.Positive(t, r.Heap)
	require.Len(t, r.Storms, 2)
	for _, s := range r.Storms {
		require.GreaterOrEqual(t, s.total(), clients, s.Policy)
		require.GreaterOrEqual(t, s.Back, s.Returned)
		require.NotEmpty(t, s.InStep)
	}
	require.Less(t, slices.Max(r.Storms[1].Attempts), clients, "all at the same time")
	drawn, err := os.ReadFile(plot)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(drawn), `class="return"`))
	for d := xml.NewDecoder(strings.NewReader(string(drawn))); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else {
			require.NoError(t, err)
		}
	}
}

func TestCarryRefusesNumbersThatMakeNoSense(t *testing.T) {
	require.ErrorContains(t, run([]string{"carry", "-count", "0"}), "positive")
	require.Error(t, run([]string{"carry", "-nonsense"}))
}
