package clienttest

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// doubt breaks the connection of conn and lets a CONNECT go unanswered. The next
// connection finds a session.
func doubt(srv *mqtttest.Server, conn *mqtttest.Conn) *mqtttest.Conn {
	conn.Close()
	unanswered := srv.Accept()
	mqtttest.Take[*wire.Connect](unanswered)
	unanswered.Close()
	return srv.Connected(Resumed())
}

// A process that is killed before it knows what became of a message leaves the doubt to
// the next one, which would otherwise take the answer to PUBREL for a success.
func TestADoubtfulExchangeIsStillDoubtfulAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		PublishAsync(t, client, "one", 2)
		conn.Want(Pub(1, 2, "one"))
		conn.Send(Pubrec(1))
		conn.Want(Pubrel(1))
		conn = doubt(srv, conn)
		conn.Want(Pubrel(1), Pubrel(2)) // and the probe

		next := d.Killed(t)
		conn.Close()
		srv.Refuse()
		synctest.Wait()
		again := mqtttest.NewServer(t, srv.Version)
		cfg := Stored(again, next)
		var undelivered []mqtt.Undelivered
		cfg.Undelivered = func(u mqtt.Undelivered) { undelivered = append(undelivered, u) }
		_, conn = OpenWith(t, again, cfg, Resumed())
		conn.Want(Pubrel(1), Pubrel(2))
		conn.Send(&wire.Pubcomp{PacketID: 1, ReasonCode: wire.PacketIdentifierNotFound},
			&wire.Pubcomp{PacketID: 2, ReasonCode: wire.PacketIdentifierNotFound})
		synctest.Wait()
		require.Len(t, undelivered, 1)
		require.ErrorIs(t, undelivered[0].Err, mqtt.PacketIdentifierNotFound)
		require.Equal(t, "one", string(undelivered[0].Message.Payload))
	})
}

// A message that an empty session brings is not taken for one that the remembered session
// had brought under the same identifier.
func TestAReceivedMessageIsStillDoubtfulAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		filters := mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t", QoS: 2}}}
		client, conn := Open(t, srv, Stored(srv, d))
		sub := SubscribeWith(t, client, conn, filters)
		conn.Send(Pub(7, 2, "of the lost session"))
		Next(t, sub)
		conn.Want(Pubrec(7))
		conn = doubt(srv, conn)
		mqtttest.Take[*wire.Subscribe](conn)

		client, conn, _ = restart(t, srv, d, conn)
		sub = SubscribeWith(t, client, conn, filters)
		conn.Send(Dup(7, 2, "new, and its first copy got lost"))
		require.Equal(t, "new, and its first copy got lost", string(Next(t, sub).Payload))
	})
}

// After a lost session the same content under the same identifier is another message.
func TestKeysOfALostSessionAreNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t", QoS: 2}}, ManualAck: true})
		conn.Send(Pub(7, 2, "on"))
		first := Next(t, sub)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(Pub(7, 2, "on"))
		require.NotEqual(t, first.Key(), Next(t, sub).Key())
	})
}

// A process that is killed before its CONNECT is answered leaves the session in doubt, and
// the first connection of the next one says so.
func TestTheFirstConnectionAfterACrashMayBeUnproven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		_, conn := Open(t, srv, Stored(srv, d))
		conn.Close()
		unanswered := srv.Accept()
		mqtttest.Take[*wire.Connect](unanswered)
		next := d.Killed(t)
		unanswered.Close()
		srv.Refuse()
		synctest.Wait()
		for _, proven := range []bool{false, true} {
			again := mqtttest.NewServer(t, srv.Version)
			client, err := mqtt.Start("mqtt://server", Stored(again, next))
			require.NoError(t, err)
			t.Cleanup(func() { client.Close() })
			events := client.Watch(t.Context())
			conn = again.Connected(Resumed())
			synctest.Wait()
			e := <-events
			for e.State != mqtt.Connected {
				e = <-events
			}
			require.Equal(t, mqtt.SessionResumed, e.Session)
			require.Equal(t, !proven, e.Unproven)
			next = next.Killed(t)
			conn.Close()
			again.Refuse()
			synctest.Wait()
		}
	})
}
