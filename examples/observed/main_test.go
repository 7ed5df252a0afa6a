package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatIsObserved(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out strings.Builder
	require.NoError(t, run(ctx, "", "", &out))
	text := out.String()
	require.Equal(t, 3, strings.Count(text, "producer publish devices/{id}/{what}: a trace of its own"), text)
	require.Equal(t, 3, strings.Count(text, "producer publish devices/{id}/{what}: within another span"), text)
	require.Equal(t, 3, strings.Count(text, "consumer process devices/+/up: a trace of its own, 1 links"), text)
	require.Contains(t, text, "messages_total{")
}
