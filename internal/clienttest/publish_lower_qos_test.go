package clienttest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestQoSIsLoweredOnRequestOnly(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		for name, test := range map[string]struct {
			lower   bool
			highest mqtt.QoS
			want    []wire.QoS // at which the messages with QoS 0, 1 and 2 go; the others fail
		}{
			"not asked":       {false, 1, []wire.QoS{0, 1}},
			"asked":           {true, 1, []wire.QoS{0, 1, 1}},
			"nothing to do":   {true, 2, []wire.QoS{0, 1, 2}},
			"QoS 0 is no QoS": {true, 0, []wire.QoS{0}},
		} {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, v)
				cfg := Quiet(srv)
				cfg.LowerQoS = test.lower
				ack := &wire.Connack{}
				switch {
				case test.highest == mqtt.ExactlyOnce:
				case v == wire.V5:
					ack.MaximumQoS = new(test.highest)
				default:
					cfg.MaximumQoS = new(test.highest)
				}
				client, conn := OpenWith(t, srv, cfg, ack)
				for qos := range mqtt.ExactlyOnce + 1 {
					call := Publish(t, client, "x", qos)
					if int(qos) >= len(test.want) {
						require.ErrorIs(t, call.Wait(), mqtt.QoSNotSupported, name)
						conn.WantIdle()
						continue
					}
					p := mqtttest.Take[*wire.Publish](conn)
					require.Equal(t, test.want[qos], p.QoS, name)
					switch p.QoS {
					case 1:
						conn.Send(Puback(p.PacketID))
					case 2:
						conn.Send(Pubrec(p.PacketID))
						conn.Want(Pubrel(p.PacketID))
						conn.Send(Pubcomp(p.PacketID))
					}
					require.NoError(t, call.Wait())
				}
			})
		}
	}
}

// The Store knows the QoS of the program: the next process lowers it again, on a repeat too.
func TestALoweredMessageIsRepeatedByTheNextProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := &wire.Connack{MaximumQoS: new(wire.AtLeastOnce)}
		d := NewDisk()
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Stored(srv, d)
		cfg.LowerQoS = true
		client, conn := OpenWith(t, srv, cfg, one)
		PublishAsync(t, client, "x", 2)
		conn.Want(Pub(1, 1, "x"))
		next := d.Killed(t)
		conn.Close()
		srv.Refuse()
		synctest.Wait()

		srv = mqtttest.NewServer(t, wire.V5)
		cfg.Store, cfg.Dial = next, srv.Dial
		_, conn = OpenWith(t, srv, cfg, &wire.Connack{SessionPresent: true, MaximumQoS: one.MaximumQoS})
		conn.Want(Dup(1, 1, "x"))
		conn.Send(Puback(1))
		time.Sleep(time.Second)
		require.Zero(t, next.Records(t, "Cm")+next.Records(t, "Ce"))
	})
}

// A server with QoS 2 gets it, also after one without.
func TestQoSIsLoweredForOneServerAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.LowerQoS = true
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{MaximumQoS: new(wire.AtLeastOnce)})
		first := PublishAsync(t, client, "1", 2)
		conn.Want(Pub(1, 1, "1"))
		conn.Send(Puback(1))
		require.True(t, Settled(first))
		conn.Close()
		conn = srv.Connected(Resumed())
		PublishAsync(t, client, "2", 2)
		conn.Want(Pub(2, 2, "2"))
		conn.Send(Pubrec(2))
		conn.Want(Pubrel(2))
	})
}
