package clienttest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// restart kills the process of conn and opens the next one, which finds the session.
func restart(t *testing.T, srv *mqtttest.Server, d *Disk, conn *mqtttest.Conn) (*mqtt.Client, *mqtttest.Conn, *Disk) {
	t.Helper()
	next := d.Killed(t)
	conn.Close()
	srv.Refuse()
	synctest.Wait()
	again := mqtttest.NewServer(t, srv.Version)
	client, conn := OpenWith(t, again, Stored(again, next), Resumed())
	return client, conn, next
}

func TestAKilledProcessContinuesItsExchanges(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			d := NewDisk()
			client, conn := Open(t, srv, Stored(srv, d))
			PublishAsync(t, client, "one", 1)
			conn.Want(Pub(1, 1, "one"))
			PublishAsync(t, client, "two", 2)
			conn.Want(Pub(2, 2, "two"))
			PublishAsync(t, client, "three", 2)
			conn.Want(Pub(3, 2, "three"))
			conn.Send(Pubrec(3))
			conn.Want(Pubrel(3))
			_, conn, d = restart(t, srv, d, conn)
			conn.Want(Pubrel(3), Dup(1, 1, "one"), Dup(2, 2, "two"))
			conn.Send(Pubcomp(3), Puback(1), Pubrec(2))
			conn.Want(Pubrel(2))
			conn.Send(Pubcomp(2))
			time.Sleep(time.Second)
			require.Zero(t, d.Records(t, "Cm")+d.Records(t, "Ce"))
		})
	}
}

func TestAnAcceptedMessageSurvivesWithoutAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		conn.Close()
		srv.Refuse()
		synctest.Wait()
		for _, payload := range []string{"1", "2", "3"} {
			PublishAsync(t, client, payload, 1)
		}
		_, conn, _ = restart(t, srv, d, conn)
		conn.Want(Pub(1, 1, "1"), Pub(2, 1, "2"), Pub(3, 1, "3"))
	})
}

func TestAReceivedMessageThatIsAcknowledgedDoesNotComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t", QoS: 2}}, ManualAck: true})
		conn.Send(Pub(7, 2, "acknowledged"), Pub(8, 2, "not"))
		first, second := Next(t, sub), Next(t, sub)
		require.NoError(t, first.Ack())
		conn.Want(Pubrec(7))
		require.NotEmpty(t, second.Key())
		require.NotEqual(t, first.Key(), second.Key())

		client, conn, _ = restart(t, srv, d, conn)
		sub = SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t", QoS: 2}}, ManualAck: true})
		conn.Send(Dup(7, 2, "acknowledged"), Dup(8, 2, "not"))
		conn.Want(Pubrec(7))
		again := Next(t, sub)
		require.Equal(t, "not", string(again.Payload))
		require.Equal(t, second.Key(), again.Key())
		require.NoError(t, again.Ack())
		conn.Want(Pubrec(8))
		conn.Send(Pubrel(8))
		conn.Want(Pubcomp(8))
		conn.Send(Pub(8, 2, "not"))
		other := Next(t, sub)
		require.NotEqual(t, again.Key(), other.Key(), "the same content under the same identifier is another message")
	})
}

func TestAFullStoreFailsThePublishAndTheClientGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		d.Break(store.ErrFull)
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, Payload: []byte("lost")})
		require.ErrorIs(t, err, store.ErrFull)
		require.True(t, mqtt.NotSent(err))
		err = client.Publish(t.Context(), "t", nil, 1)
		require.ErrorIs(t, err, store.ErrFull)
		require.True(t, mqtt.NotSent(err))
		d.Break(nil)
		PublishAsync(t, client, "goes on", 1)
		require.Equal(t, "goes on", string(mqtttest.Take[*wire.Publish](conn).Payload))
	})
}

func TestALongQueueIsInTheStoreAndKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		cfg := Stored(srv, d)
		cfg.QueueMessages = 100_000
		client, conn := Open(t, srv, cfg)
		conn.Close()
		srv.Refuse()
		synctest.Wait()
		const n = 5000
		for i := range n {
			PublishAsync(t, client, payloadOf(i), mqtt.QoS(1+i%2))
		}
		require.Equal(t, n, d.Records(t, "Cm"))
		_, conn, d = restart(t, srv, d, conn)
		for came, ended := 0, 0; ended < n; {
			switch p := mqtttest.Take[wire.Packet](conn).(type) {
			case *wire.Publish:
				require.Equal(t, payloadOf(came), string(p.Payload))
				came++
				if p.QoS == 1 {
					conn.Send(Puback(p.PacketID))
					ended++
				} else {
					conn.Send(Pubrec(p.PacketID))
				}
			case *wire.Pubrel:
				conn.Send(Pubcomp(p.PacketID))
				ended++
			}
		}
		time.Sleep(time.Second)
		require.Zero(t, d.Records(t, "Cm")+d.Records(t, "Ce"))
	})
}

func payloadOf(i int) string { return string(rune('a'+i%26)) + time.Duration(i).String() }
