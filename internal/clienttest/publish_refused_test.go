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
	"github.com/seed65a45251/mqtt/wire"
)

// exceeded is a PUBACK that refuses for now.
func exceeded(id uint16) *wire.Puback {
	return &wire.Puback{PacketID: id, ReasonCode: wire.QuotaExceeded}
}

// retrying has a client with Config.RetryRefused.
func retrying(t *testing.T, change func(*mqtt.Config)) (*mqtt.Client, *mqtttest.Conn, *reports) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	cfg := Quiet(srv)
	cfg.RetryRefused = true
	r := slowly(&cfg).atOnce()
	if change != nil {
		change(&cfg)
	}
	client, conn := OpenWith(t, srv, cfg, &wire.Connack{})
	return client, conn, r
}

func TestAMessageThatIsRefusedForNowIsSentAgain(t *testing.T) {
	for _, code := range []wire.ReasonCode{wire.QuotaExceeded, wire.PacketIdentifierInUse, wire.ImplementationSpecificError} {
		synctest.Test(t, func(t *testing.T) {
			client, conn, r := retrying(t, nil)
			first := PublishAsync(t, client, "first", 2)
			conn.Want(Pub(1, 2, "first"))
			conn.Send(&wire.Pubrec{PacketID: 1, ReasonCode: code})
			synctest.Wait()
			second := PublishAsync(t, client, "second", 1)
			other := sendAsync(t, client, &mqtt.Message{Topic: "other", QoS: 1})
			conn.Want(&wire.Publish{Topic: "other", QoS: 1, PacketID: 2})
			conn.Send(Puback(2))
			require.True(t, Settled(other))
			for n := 1; n <= 64; n *= 2 { // of seconds, until it is a minute
				wait := time.Duration(min(n, 60)) * time.Second
				conn.WantIdleFor(wait*3/4 - 1)
				time.Sleep(wait - wait*3/4 + 1)
				p := mqtttest.Take[*wire.Publish](conn)
				require.Equal(t, "first", string(p.Payload))
				require.False(t, p.Duplicate)
				if n < 64 {
					conn.Send(&wire.Pubrec{PacketID: p.PacketID, ReasonCode: code})
					continue
				}
				conn.Send(Pubrec(p.PacketID))
				conn.Want(Pubrel(p.PacketID))
				require.False(t, Settled(second))
				conn.Send(Pubcomp(p.PacketID))
			}
			_, err := first.Wait(t.Context())
			require.NoError(t, err)
			p := mqtttest.Take[*wire.Publish](conn)
			require.Equal(t, "second", string(p.Payload))
			conn.Send(Puback(p.PacketID))
			_, err = second.Wait(t.Context())
			require.NoError(t, err)
			r.wantNone(t)
		})
	}
}

func TestARefusalThatFindsAFaultIsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, r := retrying(t, nil)
		for i, code := range []wire.ReasonCode{wire.NotAuthorized, wire.TopicNameInvalid, wire.PayloadFormatInvalid, wire.UnspecifiedError} {
			m := toT("bad", 1)
			sendAsync(t, client, m)
			id := uint16(i + 1)
			conn.Want(Pub(id, 1, "bad"))
			conn.Send(&wire.Puback{PacketID: id, ReasonCode: code})
			r.want(t, m, code)
		}
	})
}

func TestABusyServerRefusesForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, r := retrying(t, nil)
		PublishAsync(t, client, "1", 1)
		conn.Want(Pub(1, 1, "1"))
		conn.SendRaw("40 03 00 01 89") // no code for a PUBACK
		time.Sleep(time.Second)
		conn.Want(Pub(2, 1, "1"))
		r.wantNone(t)
	})
}

func TestWhoWaitsForTheAnswerGetsTheRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, _ := retrying(t, nil)
		publish := Begin(func() error { return client.Publish(t.Context(), "t", []byte("1"), 1) })
		conn.Want(Pub(1, 1, "1"))
		conn.Send(exceeded(1))
		require.ErrorIs(t, publish.Wait(), mqtt.QuotaExceeded)

		d := sendAsync(t, client, &mqtt.Message{Topic: "t", QoS: 1, NotQueued: true})
		conn.Want(Pub(2, 1, ""))
		conn.Send(exceeded(2))
		_, err := d.Wait(t.Context())
		require.ErrorIs(t, err, mqtt.QuotaExceeded)

		request := Begin(func() error {
			_, err := client.Request(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, ResponseTopic: "r"})
			return err
		})
		s := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: s.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(exceeded(p.PacketID))
		require.ErrorIs(t, request.Wait(), mqtt.QuotaExceeded)
	})
}

func TestPublishWaitsBehindARefusedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, _ := retrying(t, nil)
		PublishAsync(t, client, "1", 1)
		conn.Want(Pub(1, 1, "1"))
		conn.Send(exceeded(1))
		synctest.Wait()
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, NotQueued: true})
		require.Error(t, err)
		require.True(t, mqtt.NotSent(err))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		err = client.Publish(ctx, "t", []byte("2"), 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, mqtt.NotSent(err))
		publish := Begin(func() error { return client.Publish(t.Context(), "t", []byte("3"), 1) })
		conn.WantIdleFor(time.Second / 4)
		time.Sleep(time.Second)
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "1", string(p.Payload))
		conn.Send(Puback(p.PacketID))
		p = mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "3", string(p.Payload))
		conn.Send(Puback(p.PacketID))
		require.NoError(t, publish.Wait())
	})
}

func TestARefusedMessageIsBoundedByQueueAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, r := retrying(t, func(cfg *mqtt.Config) { cfg.QueueAge = 10 * time.Minute })
		m := toT("1", 1)
		sendAsync(t, client, m)
		began := time.Now()
		for range 5 {
			conn.Send(exceeded(mqtttest.Take[*wire.Publish](conn).PacketID))
		}
		conn.Close() // now it waits for a connection
		synctest.Wait()
		require.Less(t, time.Since(began), time.Minute)
		time.Sleep(10*time.Minute - time.Since(began) - time.Millisecond)
		r.wantNone(t)
		time.Sleep(time.Millisecond)
		u := r.want(t, m, mqtt.ErrExpired)
		require.ErrorIs(t, u.Err, mqtt.QuotaExceeded, "the reason is there, too")
		require.True(t, mqtt.NotSent(u.Err))
	})
}

func TestDisconnectLeavesWhatIsRefusedForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, r := retrying(t, nil)
		m := toT("1", 1)
		sendAsync(t, client, m)
		conn.Want(Pub(1, 1, "1"))
		conn.Send(exceeded(1))
		synctest.Wait()
		sendAsync(t, client, toT("2", 1))
		sendAsync(t, client, &mqtt.Message{Topic: "other", QoS: 1})
		conn.Want(&wire.Publish{Topic: "other", QoS: 1, PacketID: 2})
		flush := Begin(func() error { return client.Flush(t.Context()) })
		disconnect := Begin(func() error { return client.Disconnect(t.Context()) })
		conn.WantIdleFor(time.Second / 4)
		require.False(t, disconnect.Over(), "the other is still to come")
		conn.Send(Puback(2))
		conn.WantDisconnect(wire.Success)
		conn.Close()
		var left *mqtt.UnfinishedError
		require.ErrorAs(t, disconnect.Wait(), &left)
		require.Equal(t, 2, left.Published)
		require.ErrorIs(t, flush.Wait(), mqtt.ErrClosed)
		r.want(t, m, mqtt.ErrClosed)
	})
}

func TestFlushWaitsForARefusedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn, _ := retrying(t, nil)
		PublishAsync(t, client, "1", 1)
		conn.Want(Pub(1, 1, "1"))
		conn.Send(exceeded(1))
		flush := Begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.Over())
		time.Sleep(time.Second)
		conn.Want(Pub(2, 1, "1"))
		require.False(t, flush.Over())
		conn.Send(Puback(2))
		require.NoError(t, flush.Wait())
	})
}

func TestARefusedMessageStaysFirstWhenTheProcessIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		cfg := Stored(srv, d)
		cfg.RetryRefused = true
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, "1", 1)
		conn.Want(Pub(1, 1, "1"))
		PublishAsync(t, client, "2", 2)
		conn.Want(Pub(2, 2, "2"))
		sendAsync(t, client, &mqtt.Message{Topic: "other", QoS: 1})
		conn.Want(&wire.Publish{Topic: "other", QoS: 1, PacketID: 3})
		conn.Send(exceeded(1))
		PublishAsync(t, client, "3", 1)
		time.Sleep(time.Second / 2)

		client, conn, d = restart(t, srv, d, conn)
		first := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "1", string(first.Payload))
		require.False(t, first.Duplicate)
		conn.Want(Dup(2, 2, "2"), &wire.Publish{Topic: "other", QoS: 1, PacketID: 3, Duplicate: true})
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "3", string(p.Payload), "what was not sent yet follows")
		conn.Send(Puback(first.PacketID), Pubrec(2), Puback(3), Puback(p.PacketID))
		conn.Want(Pubrel(2))
		conn.Send(Pubcomp(2))
		require.NoError(t, client.Flush(t.Context()))
		time.Sleep(time.Second)
		require.Zero(t, d.Records(t, "Cm")+d.Records(t, "Ce"))
	})
}

func TestAMessageOfAnEarlierProcessIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		PublishAsync(t, client, "1", 1)
		conn.Want(Pub(1, 1, "1"))
		d = d.Killed(t)
		conn.Close()
		srv.Refuse()
		synctest.Wait()

		srv = mqtttest.NewServer(t, wire.V5)
		cfg := Stored(srv, d)
		cfg.RetryRefused = true
		client, conn = OpenWith(t, srv, cfg, Resumed())
		conn.Want(Dup(1, 1, "1"))
		conn.Send(exceeded(1))
		time.Sleep(time.Second)
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "1", string(p.Payload))
		require.False(t, p.Duplicate)
		conn.Send(exceeded(p.PacketID))
		synctest.Wait()
		var left *mqtt.UnfinishedError
		require.ErrorAs(t, client.Disconnect(t.Context()), &left)
		require.Equal(t, 1, d.Records(t, "Cm"), "the next process tries again")
	})
}

func TestAnEarlierProcessMayHaveDeliveredWhatIsRefusedNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		m := toT("1", 1)
		m.MessageExpiryInterval = new(time.Minute)
		sendAsync(t, client, m)
		mqtttest.Take[*wire.Publish](conn)
		for range 2 { // the second finds it refused
			d = d.Killed(t)
			conn.Close()
			srv.Refuse()
			synctest.Wait()
			srv = mqtttest.NewServer(t, wire.V5)
			cfg := Stored(srv, d)
			cfg.RetryRefused = true
			r := slowly(&cfg).atOnce()
			_, conn = OpenWith(t, srv, cfg, Resumed())
			p := mqtttest.Take[*wire.Publish](conn)
			conn.Send(exceeded(p.PacketID))
			if p.Duplicate {
				time.Sleep(time.Second / 2)
				continue
			}
			conn.Close()
			srv.Refuse()
			time.Sleep(time.Minute)
			require.NotEmpty(t, r.calls)
			u := <-r.calls
			require.ErrorIs(t, u.Err, mqtt.ErrExpired)
			require.False(t, mqtt.NotSent(u.Err), "the first copy may have been accepted")
			return
		}
		require.Fail(t, "it is still a repeat")
	})
}

func TestTheEndOfAProcessRemembersWhatMayHaveBeenDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		cfg := Stored(srv, d)
		cfg.RetryRefused, cfg.StoreInterval = true, -1
		client, conn := Open(t, srv, cfg)
		m := toT("1", 1)
		m.MessageExpiryInterval = new(time.Minute)
		sendAsync(t, client, m)
		mqtttest.Take[*wire.Publish](conn)
		conn.Close()
		conn = srv.Connected(Resumed())
		mqtttest.Take[*wire.Publish](conn)
		conn.Send(exceeded(1))
		synctest.Wait()
		require.NoError(t, client.Close())
		require.Equal(t, 1, d.Records(t, "Cm"))

		srv.Refuse()
		cfg.StoreInterval = 0
		r := slowly(&cfg).atOnce()
		client, err := mqtt.Start("mqtt://broker", cfg)
		require.NoError(t, err)
		t.Cleanup(func() { client.Close() })
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NotEmpty(t, r.calls)
		require.False(t, mqtt.NotSent((<-r.calls).Err), "the first copy may have been accepted")
	})
}

func TestStoredMessagesPassARefusedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Stored(srv, NewDisk())
		cfg.RetryRefused = true
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, "refused", 1)
		conn.Want(Pub(1, 1, "refused"))
		conn.Send(exceeded(1))
		synctest.Wait()
		for range 3000 { // more than what the engine gets otherwise
			PublishAsync(t, client, "behind", 1)
		}
		sendAsync(t, client, &mqtt.Message{Topic: "other", QoS: 1})
		require.Equal(t, "other", mqtttest.Take[*wire.Publish](conn).Topic)
	})
}
