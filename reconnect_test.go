package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func TestResumedSessionGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		subscribe(t, client, conn, "s", 1)
		one, two := publishAsync(t, client, "1", 1), publishAsync(t, client, "2", 2)
		conn.Want(pub(2, 1, "1"), pub(3, 2, "2"))
		conn.Send(pubrec(3))
		conn.Want(pubrel(3))
		conn.Close()
		conn = srv.Accept()
		require.False(t, conn.WantConnect().CleanStart)
		conn.Send(resumed())
		renewed(t, conn)
		conn.Want(pubrel(3), dup(2, 1, "1"))
		conn.Send(puback(2), pubcomp(3))
		for _, d := range []*mqtt.Delivery{one, two} {
			_, err := d.Wait(t.Context())
			require.NoError(t, err)
		}
		conn.WantIdle()
		require.True(t, client.ServerInfo().SessionPresent)
	})
}

func TestLostSessionIsSubscribedBeforeItIsPublished(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		a, b := subscribe(t, client, conn, "a", 1), subscribe(t, client, conn, "b", 2)
		publishAsync(t, client, "1", 1)
		mqtttest.Take[*wire.Publish](conn)
		conn.Close()
		synctest.Wait()
		publishAsync(t, client, "2", 0)
		conn = srv.Connected(&wire.Connack{})
		wants := []mqtt.Filter{{Filter: "a", QoS: 1}, {Filter: "b", QoS: 2}}
		p := mqtttest.Take[*wire.Subscribe](conn)
		acks := []wire.Packet{suback(p)}
		if v == wire.V5 {
			// Each has an identifier of its own, and gets what is retained only if the filter is new.
			q := mqtttest.Take[*wire.Subscribe](conn)
			wants[0].RetainHandling, wants[1].RetainHandling = mqtt.SendRetainedIfNew, mqtt.SendRetainedIfNew
			require.Equal(t, wants, append(p.Filters, q.Filters...))
			acks = append(acks, suback(q))
		} else {
			require.Equal(t, wants, p.Filters)
		}
		first := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "1", string(first.Payload))
		require.False(t, first.Duplicate)
		conn.Want(pub(0, 0, "2"))
		conn.Send(append(acks, puback(first.PacketID))...)
		conn.Send(to("a", pub(1, 1, "x")), to("b", pub(2, 1, "y")))
		wantMessages(t, a, "x")
		wantMessages(t, b, "y")
	})
}

// A server may come back with an older save of the session. In 5.0 subscribing again
// costs nothing; before, it would bring retained messages again.
func TestResumedSessionIsSubscribedAgainIn5(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := quiet(srv)
		cfg.Resume = true
		client, conn := open(t, srv, cfg)
		sub := subscribe(t, client, conn, "t", 1)
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: v != wire.V31})
		if v != wire.V311 { // 3.1 cannot say whether it has the session
			renewed(t, conn)
		}
		conn.WantIdle()
		conn.Send(pub(1, 1, "x"))
		wantMessages(t, sub, "x")
	})
}

func TestAlwaysSubscribeRepeatsItBefore5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		cfg := quiet(srv)
		cfg.Resume, cfg.AlwaysSubscribe = true, true
		client, conn := open(t, srv, cfg)
		subscribe(t, client, conn, "t", 1)
		conn.Close()
		conn = srv.Connected(resumed())
		require.Equal(t, []mqtt.Filter{{Filter: "t", QoS: 1}}, mqtttest.Take[*wire.Subscribe](conn).Filters)
	})
}

func TestPendingSubscribeGoesOutAgain(t *testing.T) {
	for _, ack := range []*wire.Connack{resumed(), {}} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			s := beginSubscribe(t.Context(), client, filters("t")...)
			mqtttest.Take[*wire.Subscribe](conn)
			conn.Close()
			conn = srv.Connected(ack)
			p := mqtttest.Take[*wire.Subscribe](conn)
			conn.WantIdle()
			require.False(t, s.over())
			conn.Send(suback(p))
			require.NoError(t, s.wait())
		})
	}
}

func TestRefusedRenewalEndsTheSubscription(t *testing.T) {
	for name, refuse := range map[string]func(*mqtttest.Server) (*mqtttest.Conn, mqtt.ReasonCode){
		"by SUBACK": func(srv *mqtttest.Server) (*mqtttest.Conn, mqtt.ReasonCode) {
			conn := srv.Connected(&wire.Connack{})
			p := mqtttest.Take[*wire.Subscribe](conn)
			conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}})
			return conn, mqtt.NotAuthorized
		},
		"by a limit": func(srv *mqtttest.Server) (*mqtttest.Conn, mqtt.ReasonCode) {
			return srv.Connected(&wire.Connack{WildcardSubscriptionAvailable: new(false)}), mqtt.WildcardSubscriptionsNotSupported
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := open(t, srv, quiet(srv))
				sub := subscribe(t, client, conn, "t/#", 1)
				events := client.Watch(t.Context())
				consumer := begin(func() error {
					for range sub.Messages() {
					}
					return sub.Err()
				})
				conn.Close()
				conn, code := refuse(srv)
				require.ErrorIs(t, consumer.wait(), code)
				_, err := sub.Next(t.Context())
				require.ErrorIs(t, err, code)
				require.True(t, seen(events, func(e mqtt.Event) bool { return e.Subscription == sub && errors.Is(e.Err, code) }))
				require.Equal(t, mqtt.Connected, client.State())
				conn.WantIdle()
			})
		})
	}
}

// seen takes the events that are there and says whether one of them is it.
func seen(events <-chan mqtt.Event, it func(mqtt.Event) bool) bool {
	synctest.Wait()
	for {
		select {
		case e, open := <-events:
			if !open {
				return false
			}
			if it(e) {
				return true
			}
		default:
			return false
		}
	}
}

func TestBackoffGrowsAndStaysWhileConnectionsAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: time.Second, Max: time.Minute}
		_, conn := open(t, srv, cfg)
		begun := time.Now()
		attempts := 0
		for time.Since(begun) < time.Hour {
			conn.Close() // right after CONNACK
			conn = srv.Connected(resumed())
			attempts++
		}
		// On average every half a minute, once the delays have grown.
		require.Less(t, attempts, 250)
		require.Greater(t, attempts, 60)
	})
}

func TestBackoffStartsOverAfterAHealthyConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: time.Second, Max: 5 * time.Minute, HealthyAfter: time.Minute}
		_, conn := open(t, srv, cfg)
		for range 15 {
			conn.Close()
			conn = srv.Connected(resumed())
		}
		conn.WantIdleFor(time.Minute)
		conn.Close()
		lost := time.Now()
		srv.Accept()
		require.LessOrEqual(t, time.Since(lost), time.Second)
	})
}

func TestPermanentRefusalEndsTheClient(t *testing.T) {
	for _, code := range []wire.ReasonCode{wire.ClientIdentifierNotValid, wire.MalformedPacket, wire.QoSNotSupported} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			waiting := publish(t, client, "x", 1)
			mqtttest.Take[*wire.Publish](conn)
			conn.Close()
			srv.Connected(&wire.Connack{ReasonCode: code})
			<-client.Done()
			require.ErrorIs(t, client.Err(), code)
			require.ErrorIs(t, waiting.wait(), code)
			require.ErrorIs(t, client.Publish(t.Context(), "t", nil, 0), code)
			require.NoError(t, client.Close())
			require.ErrorIs(t, client.Err(), code, "Close does not change why")
			srv.WantNone(time.Hour)
		})
	}
}

func TestTemporaryRefusalsAreTriedAgain(t *testing.T) {
	for _, code := range []wire.ReasonCode{wire.ServerUnavailable, wire.ServerBusy, wire.QuotaExceeded, wire.UseAnotherServer,
		wire.ConnectionRateExceeded, wire.UnspecifiedError} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			conn.Close()
			srv.Connected(&wire.Connack{ReasonCode: code})
			srv.Connected(resumed()).WantIdle()
			require.Equal(t, mqtt.Connected, client.State())
		})
	}
}

func TestServerMayDisconnectAndBeThereAgain(t *testing.T) {
	for _, code := range []wire.ReasonCode{wire.ServerShuttingDown, wire.PacketTooLarge, wire.KeepAliveTimeout} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			events := client.Watch(t.Context())
			conn.Send(&wire.Disconnect{ReasonCode: code, ReasonString: "bye"})
			conn.WantClosed()
			srv.Connected(resumed())
			require.True(t, seen(events, func(e mqtt.Event) bool { return e.State == mqtt.Reconnecting && errors.Is(e.Err, code) }))
		})
	}
}

func TestPermanentDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Permanent = func(err error) bool { return errors.Is(err, mqtt.ServerBusy) }
		client, conn := open(t, srv, cfg)
		conn.Close()
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		srv.Connected(&wire.Connack{ReasonCode: wire.ServerBusy})
		<-client.Done()
		require.ErrorIs(t, client.Err(), mqtt.ServerBusy)
	})
}

func TestMaxAttemptsEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.Reconnect = reconnect.Policy{MaxAttempts: 3}
		client, conn := open(t, srv, cfg)
		conn.Close()
		for range 3 {
			conn = srv.Accept()
			conn.WantConnect()
			conn.Close()
		}
		<-client.Done()
		require.ErrorIs(t, client.Err(), mqtt.ErrRetriesExhausted)
		require.ErrorContains(t, client.Err(), "server closed the connection")
	})
}

func TestMessageThatKillsEveryConnectionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		bad, good := publishAsync(t, client, "bad", 1), publishAsync(t, client, "good", 1)
		connections := 1
		for !settled(good) {
			p, ok := mqtttest.TakeWithin[*wire.Publish](conn, time.Second)
			if ok && string(p.Payload) == "good" {
				if q, more := mqtttest.TakeWithin[*wire.Publish](conn, time.Nanosecond); !more {
					conn.Send(puback(p.PacketID))
					continue
				} else {
					require.Equal(t, "bad", string(q.Payload))
				}
			}
			conn.Close()
			conn = srv.Connected(resumed())
			connections++
			require.Less(t, connections, 50)
		}
		_, err := bad.Wait(t.Context())
		require.ErrorIs(t, err, mqtt.ErrUndeliverable)
		require.False(t, mqtt.NotSent(err))
		_, err = good.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestWatchTellsTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		events := client.Watch(t.Context())
		conn.Close()
		conn = srv.Connected(resumed())
		synctest.Wait()
		conn.Close()
		srv.Connected(&wire.Connack{}).Skip()
		require.NoError(t, client.Close())
		var story []string
		for e := range events {
			require.False(t, e.Time.IsZero())
			text := e.State.String()
			switch e.State {
			case mqtt.Connected:
				text += fmt.Sprint(" ", e.Session)
			case mqtt.Reconnecting, mqtt.Connecting:
				require.Equal(t, 1, e.Attempt)
			}
			if e.State == mqtt.Reconnecting {
				require.ErrorContains(t, e.Err, "server closed the connection")
			}
			story = append(story, text)
		}
		require.Equal(t, []string{
			"reconnecting", "connecting", fmt.Sprint("connected ", mqtt.SessionResumed),
			"reconnecting", "connecting", fmt.Sprint("connected ", mqtt.SessionLost),
			"closed"}, story)
	})
}

func TestWatcherThatDoesNotKeepUpLosesTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		events := client.Watch(t.Context())
		for range 40 {
			conn.Close()
			conn = srv.Connected(resumed())
		}
		require.NoError(t, client.Close())
		var last mqtt.Event
		n := 0
		for e := range events {
			last = e
			n++
		}
		require.Equal(t, mqtt.Closed, last.State)
		require.ErrorIs(t, last.Err, mqtt.ErrClosed)
		require.Greater(t, n, 32)
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := open(t, srv, quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		events := client.Watch(ctx)
		cancel()
		_, open := <-events
		require.False(t, open)
	})
}

func TestWatchUnderAContextThatHasEndedLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := open(t, srv, quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 10_000 {
			<-client.Watch(ctx)
		}
	})
}

func TestStatsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := openWith(t, srv, quiet(srv), &wire.Connack{ReceiveMaximum: 1})
		sub := subscribe(t, client, conn, "t", 1)
		publishAsync(t, client, "1", 1)
		publishAsync(t, client, "22", 1)
		conn.Send(pub(1, 1, "x"), to("other", pub(0, 0, "x")))
		synctest.Wait()
		s := client.Stats()
		require.Equal(t, uint64(1), s.Connections)
		require.Equal(t, uint64(2), s.Published)
		require.Equal(t, uint64(2), s.Received)
		require.Equal(t, uint64(1), s.Unclaimed)
		require.Equal(t, 1, s.Queued)
		require.Equal(t, len("t")+len("22"), s.QueuedBytes)
		require.Equal(t, 1, s.Inflight)
		require.Equal(t, 1, s.Unfinished)
		require.NotZero(t, s.BytesReceived)
		next(t, sub)
		require.Zero(t, client.Stats().Unfinished)
		conn.Close()
		srv.Connected(resumed()).Skip()
		s = client.Stats()
		require.Equal(t, uint64(2), s.Connections)
		require.Equal(t, uint64(1), s.Lost)
	})
}

func TestSubscriptionsAreRenewedOn31WhereTheServerCanNotSayThatTheSessionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V31)
		cfg := quiet(srv)
		cfg.Resume = true
		client, conn := open(t, srv, cfg)
		subscribe(t, client, conn, "t", 1)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		require.Equal(t, []wire.SubscribeFilter{{Filter: "t", QoS: 1}}, grant(conn).Filters)
		conn.WantIdle()
	})
}
