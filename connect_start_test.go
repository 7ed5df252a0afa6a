package mqtt

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/reconnect"
)

// A first connection that is over before Connect looks for it was there all the same. The
// next one may be far away.
func TestFirstConnectionThatIsLostAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := newClient("mqtt://server", Config{
			Version: V311, Reconnect: reconnect.Policy{Min: 24 * time.Hour},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				go func() {
					_, _ = io.ReadAtLeast(server, make([]byte, 1000), 2)
					_, _ = server.Write([]byte{0x20, 2, 0, 0})
					_ = server.Close()
				}()
				return client, nil
			},
		})
		require.NoError(t, err)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.launch(ctx, false)
		synctest.Wait()
		require.Equal(t, Reconnecting, c.State())
		begun := time.Now()
		require.NoError(t, c.awaitFirst(context.Background()), "as Connect does")
		require.Zero(t, time.Since(begun))
		require.ErrorIs(t, c.WaitConnected(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun))
	})
}
