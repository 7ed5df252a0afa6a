package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

func TestWorkersKeepTheOrderOfEachCustomer(t *testing.T) {
	for name, server := range map[string]string{"embedded": "", "Mosquitto": mosquitto.Start(t, mosquitto.Options{}).URL()} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, run(t.Context(), &out, server, 40))
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			require.Len(t, lines, 41)
			next := make(map[string]int)
			for _, line := range lines[:40] {
				topic, ok := doneTopic.Match(line)
				require.True(t, ok, line)
				customer := topic.Get("customer")
				require.Equal(t, fmt.Sprint(next[customer]), topic.Get("job"), line)
				next[customer]++
			}
			require.Equal(t, map[string]int{"slow": 10, "a": 10, "b": 10, "c": 10}, next)
			most := 0
			_, err := fmt.Sscanf(lines[40], "up to %d jobs at a time", &most)
			require.NoError(t, err)
			require.LessOrEqual(t, most, 4, "there are four customers")
		})
	}
}
