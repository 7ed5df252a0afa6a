//go:build unix

package mqtt

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlushReturnsAfterALargePayloadAtMostOnce(t *testing.T) {
	c, conn := openSocket(t, 0)
	go io.Copy(io.Discard, conn)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 20 {
		require.NoError(t, c.Publish(ctx, "t", make([]byte, 300_000), AtMostOnce))
		require.NoError(t, c.Flush(ctx))
	}
}
