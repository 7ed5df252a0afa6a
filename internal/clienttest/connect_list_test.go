package clienttest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/wire"
)

// A list of servers that changes at run time needs nothing but Attempt, and Reconnect to
// leave a server that is no longer in it.
func TestServersMayChangeAtRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 4)
		var mu sync.Mutex
		list := []string{"mqtt://10.0.0.9", "mqtt://10.0.0.1"}
		cfg := w.Config()
		cfg.RetryFirst = true
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			mu.Lock()
			defer mu.Unlock()
			a.Server = list[(a.Number-1)%len(list)]
			return nil
		}
		d := Connect(t, "mqtt://10.0.0.9", cfg)
		s[0].Connected(&wire.Connack{})
		client := d.Client(t)
		require.Equal(t, []string{"10.0.0.9:1883", "10.0.0.1:1883"}, w.Took())
		mu.Lock()
		list = []string{"mqtt://10.0.0.3"}
		mu.Unlock()
		again := Begin(func() error { return client.Reconnect(t.Context()) })
		s[2].Connected(&wire.Connack{})
		require.NoError(t, again.Wait())
	})
}
