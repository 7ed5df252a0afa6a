package clienttest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestADrainThatFailsTwiceSaysSoInOneSentence(t *testing.T) {
	for name, answer := range map[string]wire.ReasonCode{"no answer": 0, "refused": wire.NotAuthorized} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				sub := Subscribe(t, client, conn, "t", 0)
				conn.Send(Pub(0, 0, "nobody takes it"))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				drain := Begin(func() error { return sub.Drain(ctx) })
				u := mqtttest.Take[*wire.Unsubscribe](conn)
				if answer != 0 {
					conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{answer}})
				}
				err := drain.Wait()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.False(t, mqtt.NotSent(err))
				if answer != 0 {
					require.ErrorIs(t, err, answer)
				}
				require.True(t, strings.HasPrefix(err.Error(), `mqtt: drain "t": `), "%v", err)
				require.Equal(t, 1, strings.Count(err.Error(), "mqtt:"), "%v", err)
			})
		})
	}
}
