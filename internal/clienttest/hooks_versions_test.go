package clienttest

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// Properties that hooks add are left out where a version, or a server, has no place for
// them. Those of the program are not.

func TestPropertiesOfHooksAreLeftOutBefore5(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			cfg := Quiet(srv)
			log := new(notes)
			cfg.Hooks = []mqtt.Hook{witness("h", log)}
			client, conn := Open(t, srv, cfg)
			require.NoError(t, client.Publish(t.Context(), "t", []byte("zero"), mqtt.AtMostOnce))
			conn.Want(Pub(0, 0, "zero"))
			done := Publish(t, client, "one", 1)
			conn.Want(Pub(1, 1, "one"))
			conn.Send(Puback(1))
			require.NoError(t, done.Wait())
			PublishAsync(t, client, "two", 1)
			conn.Want(Pub(2, 1, "two"))
			log.take()

			of := []mqtt.UserProperty{{Name: "k", Value: "v"}}
			require.ErrorContains(t, client.PublishMessage(t.Context(), &mqtt.Message{Topic: "t", UserProperties: of}), "needs version 5.0")
			d, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, UserProperties: of})
			require.NoError(t, err)
			_, err = d.Wait(t.Context())
			require.ErrorContains(t, err, "needs version 5.0")
			conn.WantIdle()
		})
	}
}

// fallsBack lets srv speak 3.1.1 from now on, and returns the next connection.
func fallsBack(srv *mqtttest.Server) *mqtttest.Conn {
	srv.Connected(&wire.Connack{ReasonCode: wire.UnsupportedProtocolVersion})
	srv.Version = wire.V311
	return srv.Connected(Resumed())
}

// TestPropertiesOfHooksAreLeftOutAfterAFallback covers messages that were sent, or only
// accepted, while the server spoke 5.0.
func TestPropertiesOfHooksAreLeftOutAfterAFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Version = mqtt.Auto
		cfg.Hooks = []mqtt.Hook{witness("h", new(notes))}
		client, conn := Open(t, srv, cfg)
		sent := PublishAsync(t, client, "sent", 1)
		require.Equal(t, by("h"), mqtttest.Take[*wire.Publish](conn).Properties.UserProperties)
		conn.Close()
		synctest.Wait()
		queued := PublishAsync(t, client, "queued", 1)
		own, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, UserProperties: []mqtt.UserProperty{{Name: "k", Value: "v"}}})
		require.NoError(t, err)
		conn = fallsBack(srv)
		conn.Want(Dup(1, 1, "sent"), Pub(2, 1, "queued"))
		conn.Send(Puback(1), Puback(2))
		for _, d := range []*mqtt.Delivery{sent, queued} {
			_, err := d.Wait(t.Context())
			require.NoError(t, err)
		}
		_, err = own.Wait(t.Context())
		require.ErrorContains(t, err, "needs version 5.0", "the program's own property")
	})
}

func TestPropertiesOfHooksWaitForTheFirstConnection(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, v)
			srv.Refuse()
			cfg := Quiet(srv)
			log := new(notes)
			cfg.Hooks = []mqtt.Hook{witness("h", log), {
				Publish: func(ctx context.Context, m *mqtt.PublishInfo) (context.Context, func(mqtt.Ack, error)) {
					log.add("%s, %v", m.Server.ClientID, m.Server.Version)
					return ctx, nil
				}}}
			client, err := mqtt.Start("mqtt://server", cfg)
			require.NoError(t, err)
			defer client.Close()
			PublishAsync(t, client, "early", 1)
			require.Equal(t, []string{"h: early by publish", "c1, auto"}, log.take())
			srv.Listen()
			conn := srv.Connected(&wire.Connack{})
			p := mqtttest.Take[*wire.Publish](conn)
			if v == wire.V311 {
				require.Nil(t, p.Properties)
				return
			}
			require.Equal(t, by("h"), p.Properties.UserProperties)
		})
	}
}

// TestPropertiesOfHooksInAStore has a process whose predecessor, with a hook, was killed.
func TestPropertiesOfHooksInAStore(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			d := NewDisk()
			cfg := Stored(srv, d)
			cfg.Hooks = []mqtt.Hook{witness("h", new(notes))}
			client, conn := Open(t, srv, cfg)
			conn.Close()
			srv.Refuse()
			synctest.Wait()
			of := mqtt.UserProperty{Name: "k", Value: "v"}
			PublishAsync(t, client, "plain", 1)
			_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, Payload: []byte("own"), UserProperties: []mqtt.UserProperty{of}})
			require.NoError(t, err)

			again := mqtttest.NewServer(t, v)
			dialing := Dial(t, Stored(again, d.Killed(t)))
			conn = again.Connected(&wire.Connack{})
			p := mqtttest.Take[*wire.Publish](conn)
			require.Equal(t, "plain", string(p.Payload))
			next := dialing.Client(t)
			if v == wire.V311 {
				require.Nil(t, p.Properties)
				conn.Send(Puback(p.PacketID))
				conn.WantIdle()
				require.Zero(t, next.Stats().Queued, "the other one has failed")
				return
			}
			require.Equal(t, by("h"), p.Properties.UserProperties)
			require.Equal(t, append([]wire.UserProperty{of}, by("h")...), mqtttest.Take[*wire.Publish](conn).Properties.UserProperties)
			for m := range next.Pending() {
				require.NotContains(t, m.UserProperties, by("h")[0], "a hook adds it again if the message is published again")
			}
		})
	}
}

func TestUndeliveredHasTheProgramsOwnMessage(t *testing.T) {
	for _, stored := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			if stored {
				cfg.Store = NewDisk()
			}
			log := new(notes)
			cfg.Hooks = []mqtt.Hook{witness("h", log)}
			calls := make(chan mqtt.Undelivered, 1)
			cfg.Undelivered = func(u mqtt.Undelivered) { calls <- u }
			client, conn := Open(t, srv, cfg)
			PublishAsync(t, client, "x", 1)
			conn.Send(&wire.Puback{PacketID: mqtttest.Take[*wire.Publish](conn).PacketID, ReasonCode: wire.NotAuthorized})
			u := <-calls
			require.Empty(t, u.Message.UserProperties)
			require.Equal(t, "x", string(u.Message.Payload))
			synctest.Wait()
			require.Len(t, log.take(), 2, "the hook is told too")
		})
	}
}

// TestPropertiesOfHooksAreLeftOutWhereTheyMakeAMessageTooLarge covers the ways on which a
// message is sent: at once, from the queue, again.
func TestPropertiesOfHooksAreLeftOutWhereTheyMakeAMessageTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Hooks = []mqtt.Hook{witness("hook with a long name", new(notes))}
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, "again", 1)
		require.Len(t, mqtttest.Take[*wire.Publish](conn).Properties.UserProperties, 1)
		conn.Close()
		synctest.Wait()
		PublishAsync(t, client, "queued", 1)
		conn = srv.Connected(&wire.Connack{SessionPresent: true, MaximumPacketSize: 32})
		conn.Want(Dup(1, 1, "again"), Pub(2, 1, "queued"))
		conn.Send(Puback(1), Puback(2))
		require.NoError(t, client.Publish(t.Context(), "t", []byte("at once"), mqtt.AtMostOnce))
		conn.Want(Pub(0, 0, "at once"))
		err := client.Publish(t.Context(), "t", make([]byte, 32), mqtt.AtMostOnce)
		require.ErrorIs(t, err, mqtt.PacketTooLarge, "it is too large itself")
		m := &mqtt.Message{Topic: "t", Payload: []byte("own"), UserProperties: []mqtt.UserProperty{{Name: "name", Value: "of the program's own"}}}
		require.ErrorIs(t, client.PublishMessage(t.Context(), m), mqtt.PacketTooLarge)
	})
}
