package mqtttest

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestServerListensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(t, wire.V5)
		nc, err := srv.Dial(t.Context(), "", "")
		require.NoError(t, err)
		defer nc.Close()
		srv.Listen() // changes nothing, and the end of the test does not wait forever
		require.Equal(t, 1, srv.Accept().number)
	})
}
