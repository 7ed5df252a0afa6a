package clienttest

import (
	"errors"
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

// offlineWith returns a client without a connection whose Store is d.
func offlineWith(t *testing.T, d *Disk, change func(*mqtt.Config)) (*mqtt.Client, *mqtttest.Server, *mqtttest.Conn) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	cfg := Stored(srv, d)
	cfg.QueueMessages = 100_000
	change(&cfg)
	client, conn := Open(t, srv, cfg)
	conn.Close()
	srv.Refuse()
	synctest.Wait()
	return client, srv, conn
}

func TestPendingYieldsWhatThePredecessorLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		client, srv, conn := offlineWith(t, d, func(*mqtt.Config) {})
		const n = 3000
		for i := range n {
			PublishAsync(t, client, payloadOf(i), 1)
		}
		client, conn, _ = restart(t, srv, d, conn)
		PublishAsync(t, client, "not the predecessor's", 1)
		var deliveries []*mqtt.Delivery
		for m, delivery := range client.Pending() {
			require.Equal(t, payloadOf(len(deliveries)), string(m.Payload))
			require.False(t, Settled(delivery))
			deliveries = append(deliveries, delivery)
		}
		require.Len(t, deliveries, n)
		for range n + 1 {
			conn.Send(Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
		}
		for _, delivery := range deliveries {
			_, err := delivery.Wait(t.Context())
			require.NoError(t, err)
		}
		for range client.Pending() {
			t.Fatal("nothing is left")
		}
	})
}

func TestAStoreThatCannotBeReadIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		client, _, _ := offlineWith(t, d, func(*mqtt.Config) {})
		for i := range 3000 {
			PublishAsync(t, client, payloadOf(i), 1)
		}
		next := d.Killed(t)
		client.Close()
		client, _, _ = offlineWith(t, next, func(*mqtt.Config) {})
		events := client.Watch(t.Context())
		next.Hide(ErrDisk)
		listed := 0
		for range client.Pending() {
			listed++
		}
		require.Less(t, listed, 3000)
		require.True(t, Seen(events, func(e mqtt.Event) bool { return errors.Is(e.Err, mqtt.ErrStore) && errors.Is(e.Err, ErrDisk) }))
		next.Hide(nil)
		listed = 0
		for range client.Pending() {
			listed++
		}
		require.Equal(t, 3000, listed)
	})
}

func TestAStoredMessageExpiresAtItsTimeWhereverItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		client, _, _ := offlineWith(t, d, func(*mqtt.Config) {})
		for i := range 1500 {
			PublishAsync(t, client, payloadOf(i), 1)
		}
		late := expiring(t, client, "late", 1, 10*time.Second)
		early := expiring(t, client, "early", 2, 4*time.Second)
		wantExpiredAfter(t, 4*time.Second, early)
		wantExpiredAfter(t, 6*time.Second, late)
		time.Sleep(time.Second)
		require.Equal(t, 1500, d.Records(t, "Cm"))
		require.Equal(t, 1500, client.Stats().Queued)
	})
}

func TestARefusedMessageOfAPredecessorIsReportedWithItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		client, _, conn := offlineWith(t, d, func(*mqtt.Config) {})
		PublishAsync(t, client, "refused", 1)
		next := d.Killed(t)
		conn.Close()
		client.Close()
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Stored(srv, next)
		told, release := make(chan mqtt.Undelivered, 1), make(chan struct{})
		cfg.Undelivered = func(u mqtt.Undelivered) {
			told <- u
			<-release
		}
		_, conn = OpenWith(t, srv, cfg, Resumed())
		conn.Want(Pub(1, 1, "refused"))
		conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.NotAuthorized})
		u := <-told
		require.Equal(t, "refused", string(u.Message.Payload))
		require.ErrorIs(t, u.Err, mqtt.NotAuthorized)
		time.Sleep(time.Second)
		require.Equal(t, 1, next.Records(t, "Cm"), "the function has not returned")
		require.Zero(t, next.Records(t, "Ce"))
		close(release)
		time.Sleep(time.Second)
		require.Zero(t, next.Records(t, "Cm"))
	})
}

func TestAMessageInTheStoreIsKeptAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		client, _, _ := offlineWith(t, d, func(*mqtt.Config) {})
		delivery := PublishAsync(t, client, "kept", 1)
		call := Begin(func() error { return client.Publish(t.Context(), "t", []byte("kept too"), 1) })
		synctest.Wait()
		client.Close()
		_, err := delivery.Wait(t.Context())
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.False(t, mqtt.NotSent(err), "the next process sends it")
		require.False(t, mqtt.NotSent(call.Wait()))
		require.Equal(t, 2, d.Records(t, "Cm"))
	})
}

func TestStoreIntervalNegativeWritesAtTheEndOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		client, srv, conn := offlineWith(t, d, func(cfg *mqtt.Config) { cfg.StoreInterval = -1 })
		PublishAsync(t, client, "one", 1)
		PublishAsync(t, client, "two", 2)
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, NotStored: true})
		require.NoError(t, err)
		require.Zero(t, d.Records(t, "Cm"))
		client.Close()
		require.Equal(t, 2, d.Records(t, "Cm"))
		_, conn, _ = restart(t, srv, d, conn)
		conn.Want(Pub(1, 1, "one"), Pub(2, 2, "two"))
	})
}

func TestStoreIntervalLetsPublishAsyncReturnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		client, _, _ := offlineWith(t, d, func(cfg *mqtt.Config) { cfg.StoreInterval = time.Minute })
		before := d.Commits()
		for range 100 {
			PublishAsync(t, client, "x", 1)
		}
		require.Zero(t, d.Records(t, "Cm"))
		time.Sleep(time.Minute + time.Second)
		require.Equal(t, 100, d.Records(t, "Cm"))
		require.Equal(t, before+1, d.Commits())
	})
}

func TestAnIdentifierOfAMessageThatIsNotStoredIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 2, NotStored: true, Payload: []byte("gone")})
		require.NoError(t, err)
		conn.Want(Pub(1, 2, "gone"))
		client, conn, d = restart(t, srv, d, conn)
		conn.Want(Pubrel(1))
		PublishAsync(t, client, "next", 2)
		conn.Want(Pub(2, 2, "next"))
		conn.Send(Pubcomp(1))
		time.Sleep(time.Second)
		require.Zero(t, d.Records(t, "Cx"))
	})
}

func TestAStoreHasOneClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, _ := Open(t, srv, Stored(srv, d))
		_, err := mqtt.Start("mqtt://server", Stored(srv, d))
		require.ErrorContains(t, err, "another client uses it")
		client.Close()
		cfg := Stored(srv, d)
		cfg.ClientID = "other"
		_, err = mqtt.Start("mqtt://server", cfg)
		require.ErrorContains(t, err, `belongs to another client: "c1", not "other"`)
	})
}

func TestStoreSubscriptionsBringsFiltersBackBeforeTheProgramAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		cfg := Stored(srv, d)
		cfg.StoreSubscriptions = true
		client, conn := Open(t, srv, cfg)
		Subscribe(t, client, conn, "kept/#", 1)
		Subscribe(t, client, conn, "stale", 1)
		gone := Subscribe(t, client, conn, "gone", 1)
		leaving := Begin(func() error { return gone.Unsubscribe(t.Context()) })
		conn.Send(&wire.Unsuback{PacketID: mqtttest.Take[*wire.Unsubscribe](conn).PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, leaving.Wait())

		next := d.Killed(t)
		conn.Close()
		client.Close()
		srv = mqtttest.NewServer(t, wire.V5)
		cfg = Stored(srv, next)
		cfg.StoreSubscriptions = true
		client, conn = Open(t, srv, cfg) // the server has lost the session
		require.Equal(t, "kept/#", Grant(conn).Filters[0].Filter)
		require.Equal(t, "stale", Grant(conn).Filters[0].Filter)
		conn.Send(To("kept/1", Pub(1, 1, "early")))
		conn.WantIdle()
		sub := Subscribe(t, client, conn, "kept/#", 1)
		WantMessages(t, sub, "early")
		conn.Want(Puback(1))
		time.Sleep(2 * time.Minute)
		WantUnsubscribe(t, conn, "stale")
		time.Sleep(time.Second)
		require.Equal(t, 1, next.Records(t, "Cs"))
	})
}
