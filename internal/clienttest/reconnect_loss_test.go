package clienttest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

// The server forgets the session, and its next CONNACK gets lost: then Session Present
// is 1 for a session that is empty. Who wants to know of every loss gets no duplicate
// behind a nil.
func TestFailOnSessionLossHidesNoDuplicate(t *testing.T) {
	for _, lost := range []wire.PacketType{wire.TypePublish, wire.TypePubrec, wire.TypePubrel, wire.TypePubcomp} {
		for _, v := range []wire.Version{wire.V311, wire.V5} { // 3.1 cannot say that there is a session
			synctest.Test(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				seen := map[string]int{}
				observer, err := connectTo(t, b, mqtt.Config{ClientID: "o"}).Subscribe(t.Context(), "t", mqtt.ExactlyOnce)
				require.NoError(t, err)
				client := connectTo(t, b, mqtt.Config{ClientID: "c", Version: v, Resume: true, FailOnSessionLoss: true})
				b.Swallow(mqtttest.Match{Type: lost, ClientID: "c", Times: -1})
				d, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte("x"), QoS: mqtt.ExactlyOnce})
				require.NoError(t, err)
				time.Sleep(time.Second)
				b.Heal()
				b.CutAt(mqtttest.Match{Type: wire.TypeConnack, ClientID: "c"}, 0)
				b.LoseSession("c")
				_, err = d.Wait(t.Context())
				if v == wire.V5 && lost == wire.TypePubrel || v == wire.V5 && lost == wire.TypePubcomp {
					require.ErrorIs(t, err, mqtt.PacketIdentifierNotFound) // this server tells
				} else {
					require.ErrorIs(t, err, mqtt.ErrSessionLost)
				}
				require.NoError(t, client.Publish(t.Context(), "t", []byte("end"), mqtt.ExactlyOnce))
				for seen["end"] == 0 {
					seen[string(Next(t, observer).Payload)]++
				}
				require.LessOrEqual(t, seen["x"], 1)
			})
		}
	}
}

func TestCallThatWaitsInVainSaysWhyThereIsNoConnection(t *testing.T) {
	for name, call := range map[string]func(context.Context, *mqtt.Client) error{
		"subscribe": func(ctx context.Context, c *mqtt.Client) error {
			_, err := c.Subscribe(ctx, "a", mqtt.AtLeastOnce)
			return err
		},
		"publish": func(ctx context.Context, c *mqtt.Client) error {
			return c.Publish(ctx, "a", nil, mqtt.AtLeastOnce)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.Reconnect = reconnect.Policy{Min: time.Hour}
				client, conn := Open(t, srv, cfg)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				waiting := Begin(func() error { return call(ctx, client) })
				synctest.Wait()
				conn.Send(&wire.Disconnect{ReasonCode: wire.QuotaExceeded, ReasonString: "too\nmuch"})
				err := waiting.Wait()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, `context deadline exceeded (no connection: server answered DISCONNECT: quota exceeded (0x97): "too\nmuch")`)
				require.NotErrorIs(t, err, mqtt.QuotaExceeded, "it is not what the server says of this call")
			})
		})
	}
}
