package plausible

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDurations(t *testing.T) {
	for _, test := range []struct {
		d                time.Duration
		seconds, timeout string
	}{
		{0, "", ""},
		{-1, "", ""},
		{60, "60ns is less than a second; did you mean 60 * time.Second?", "60ns is less than a millisecond; did you mean 60 * time.Second?"},
		{5000, "5µs is less than a second; did you mean 5000 * time.Second?", "5µs is less than a millisecond; did you mean 5000 * time.Millisecond?"},
		{500 * time.Millisecond, "500ms is less than a second, in which MQTT counts", ""},
		{time.Second, "", ""},
	} {
		require.Equal(t, test.seconds, Seconds(test.d), test.d)
		require.Equal(t, test.timeout, Timeout(test.d), test.d)
	}
}
