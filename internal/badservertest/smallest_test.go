package badservertest

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestServerThatTakesNoDisconnectIsLeftWithoutOne(t *testing.T) {
	for _, ack := range []*wire.Connack{
		{MaximumPacketSize: 2}, {MaximumPacketSize: 2, AuthenticationMethod: "that nobody named"},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			d := Dial(t, Quiet(srv))
			srv.Connected(ack).WantClosed()
			require.ErrorIs(t, d.Call.Wait(), mqtt.ProtocolError)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := Dial(t, Quiet(srv))
		srv.Connected(&wire.Connack{MaximumPacketSize: 3}).WantDisconnect(wire.ProtocolError)
		require.ErrorIs(t, d.Call.Wait(), mqtt.ProtocolError)
	})
}
