package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"net"
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

func TestResumedSessionGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Subscribe(t, client, conn, "s", 1)
		one, two := PublishAsync(t, client, "1", 1), PublishAsync(t, client, "2", 2)
		conn.Want(Pub(2, 1, "1"), Pub(3, 2, "2"))
		conn.Send(Pubrec(3))
		conn.Want(Pubrel(3))
		conn.Close()
		conn = srv.Accept()
		require.False(t, conn.WantConnect().CleanStart)
		conn.Send(Resumed())
		Renewed(t, conn)
		conn.Want(Pubrel(3), Dup(2, 1, "1"))
		conn.Send(Puback(2), Pubcomp(3))
		for _, d := range []*mqtt.Delivery{one, two} {
			_, err := d.Wait(t.Context())
			require.NoError(t, err)
		}
		conn.WantIdle()
		require.True(t, client.ServerInfo().SessionPresent)
	})
}

func TestLostSessionIsSubscribedBeforeItIsPublished(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		a, b := Subscribe(t, client, conn, "a", 1), Subscribe(t, client, conn, "b", 2)
		PublishAsync(t, client, "1", 1)
		mqtttest.Take[*wire.Publish](conn)
		conn.Close()
		synctest.Wait()
		PublishAsync(t, client, "2", 0)
		conn = srv.Connected(&wire.Connack{})
		wants := []mqtt.Filter{{Filter: "a", QoS: 1}, {Filter: "b", QoS: 2}}
		p := mqtttest.Take[*wire.Subscribe](conn)
		acks := []wire.Packet{Suback(p)}
		if v == wire.V5 {
			// Each has an identifier of its own, and gets what is retained only if the filter is new.
			q := mqtttest.Take[*wire.Subscribe](conn)
			wants[0].RetainHandling, wants[1].RetainHandling = mqtt.SendRetainedIfNew, mqtt.SendRetainedIfNew
			require.Equal(t, wants, append(p.Filters, q.Filters...))
			acks = append(acks, Suback(q))
		} else {
			require.Equal(t, wants, p.Filters)
		}
		first := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "1", string(first.Payload))
		require.False(t, first.Duplicate)
		conn.Want(Pub(0, 0, "2"))
		conn.Send(append(acks, Puback(first.PacketID))...)
		conn.Send(To("a", Pub(1, 1, "x")), To("b", Pub(2, 1, "y")))
		WantMessages(t, a, "x")
		WantMessages(t, b, "y")
	})
}

// A server may come back with an older save of the session. In 5.0 subscribing again
// costs nothing; before, it would bring retained messages again.
func TestResumedSessionIsSubscribedAgainIn5(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := Open(t, srv, cfg)
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: v != wire.V31})
		if v != wire.V311 { // 3.1 cannot say whether it has the session
			Renewed(t, conn)
		}
		conn.WantIdle()
		conn.Send(Pub(1, 1, "x"))
		WantMessages(t, sub, "x")
	})
}

func TestAlwaysSubscribeRepeatsItBefore5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		cfg := Quiet(srv)
		cfg.Resume, cfg.AlwaysSubscribe = true, true
		client, conn := Open(t, srv, cfg)
		Subscribe(t, client, conn, "t", 1)
		conn.Close()
		conn = srv.Connected(Resumed())
		require.Equal(t, []mqtt.Filter{{Filter: "t", QoS: 1}}, mqtttest.Take[*wire.Subscribe](conn).Filters)
	})
}

func TestPendingSubscribeGoesOutAgain(t *testing.T) {
	for _, ack := range []*wire.Connack{Resumed(), {}} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			s := BeginSubscribe(t.Context(), client, Filters("t")...)
			mqtttest.Take[*wire.Subscribe](conn)
			conn.Close()
			conn = srv.Connected(ack)
			p := mqtttest.Take[*wire.Subscribe](conn)
			conn.WantIdle()
			require.False(t, s.Over())
			conn.Send(Suback(p))
			require.NoError(t, s.Wait())
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
				client, conn := Open(t, srv, Quiet(srv))
				sub := Subscribe(t, client, conn, "t/#", 1)
				events := client.Watch(t.Context())
				consumer := Begin(func() error {
					for range sub.Messages() {
					}
					return sub.Err()
				})
				conn.Close()
				conn, code := refuse(srv)
				require.ErrorIs(t, consumer.Wait(), code)
				_, err := sub.Next(t.Context())
				require.ErrorIs(t, err, code)
				require.True(t, Seen(events, func(e mqtt.Event) bool { return e.Subscription == sub && errors.Is(e.Err, code) }))
				require.Equal(t, mqtt.Connected, client.State())
				conn.WantIdle()
			})
		})
	}
}

func TestBackoffGrowsAndStaysWhileConnectionsAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: time.Second, Max: time.Minute}
		_, conn := Open(t, srv, cfg)
		begun := time.Now()
		attempts := 0
		for time.Since(begun) < time.Hour {
			conn.Close() // right after CONNACK
			conn = srv.Connected(Resumed())
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
		cfg := Quiet(srv)
		cfg.Reconnect = reconnect.Policy{Min: time.Second, Max: 5 * time.Minute, HealthyAfter: time.Minute}
		_, conn := Open(t, srv, cfg)
		for range 15 {
			conn.Close()
			conn = srv.Connected(Resumed())
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
			client, conn := Open(t, srv, Quiet(srv))
			waiting := Publish(t, client, "x", 1)
			mqtttest.Take[*wire.Publish](conn)
			conn.Close()
			srv.Connected(&wire.Connack{ReasonCode: code})
			<-client.Done()
			require.ErrorIs(t, client.Err(), code)
			require.ErrorIs(t, waiting.Wait(), code)
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
			client, conn := Open(t, srv, Quiet(srv))
			conn.Close()
			srv.Connected(&wire.Connack{ReasonCode: code})
			srv.Connected(Resumed()).WantIdle()
			require.Equal(t, mqtt.Connected, client.State())
		})
	}
}

func TestServerMayDisconnectAndBeThereAgain(t *testing.T) {
	for _, code := range []wire.ReasonCode{wire.ServerShuttingDown, wire.PacketTooLarge, wire.KeepAliveTimeout} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			events := client.Watch(t.Context())
			conn.Send(&wire.Disconnect{ReasonCode: code, ReasonString: "bye"})
			conn.WantClosed()
			srv.Connected(Resumed())
			require.True(t, Seen(events, func(e mqtt.Event) bool { return e.State == mqtt.Reconnecting && errors.Is(e.Err, code) }))
		})
	}
}

func TestPermanentDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Permanent = func(err error) bool { return errors.Is(err, mqtt.ServerBusy) }
		client, conn := Open(t, srv, cfg)
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
		cfg := Quiet(srv)
		cfg.Reconnect = reconnect.Policy{MaxAttempts: 3}
		client, conn := Open(t, srv, cfg)
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
		client, conn := Open(t, srv, Quiet(srv))
		bad, good := PublishAsync(t, client, "bad", 1), PublishAsync(t, client, "good", 1)
		connections := 1
		for !Settled(good) {
			p, ok := mqtttest.TakeWithin[*wire.Publish](conn, 2*time.Second) // a second of it is the control's
			if ok && string(p.Payload) == "good" {
				if q, more := mqtttest.TakeWithin[*wire.Publish](conn, time.Nanosecond); !more {
					conn.Send(Puback(p.PacketID))
					continue
				} else {
					require.Equal(t, "bad", string(q.Payload))
				}
			}
			conn.Close()
			conn = srv.Connected(Resumed())
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
		client, conn := Open(t, srv, Quiet(srv))
		events := client.Watch(t.Context())
		conn.Close()
		conn = srv.Connected(Resumed())
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
		client, conn := Open(t, srv, Quiet(srv))
		events := client.Watch(t.Context())
		for range 40 {
			conn.Close()
			conn = srv.Connected(Resumed())
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
		client, _ := Open(t, srv, Quiet(srv))
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
		client, _ := Open(t, srv, Quiet(srv))
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
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{ReceiveMaximum: 1})
		sub := Subscribe(t, client, conn, "t", 1)
		PublishAsync(t, client, "1", 1)
		PublishAsync(t, client, "22", 1)
		conn.Send(Pub(1, 1, "x"), To("other", Pub(0, 0, "x")))
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
		Next(t, sub)
		require.Zero(t, client.Stats().Unfinished)
		conn.Close()
		srv.Connected(Resumed()).Skip()
		s = client.Stats()
		require.Equal(t, uint64(2), s.Connections)
		require.Equal(t, uint64(1), s.Lost)
		require.Equal(t, uint64(1), s.Ended.HungUp)
	})
}

func TestSubscriptionsAreRenewedOn31WhereTheServerCanNotSayThatTheSessionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V31)
		cfg := Quiet(srv)
		cfg.Resume = true
		client, conn := Open(t, srv, cfg)
		Subscribe(t, client, conn, "t", 1)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		require.Equal(t, []wire.SubscribeFilter{{Filter: "t", QoS: 1}}, Grant(conn).Filters)
		conn.WantIdle()
	})
}

// evict ends a connection with code.
func evict(conn *mqtttest.Conn, code wire.ReasonCode) {
	conn.Send(&wire.Disconnect{ReasonCode: code, ReasonString: "no longer"})
	conn.WantClosed()
}

// wantEnd waits for the end of the client because of code.
func wantEnd(t *testing.T, srv *mqtttest.Server, client *mqtt.Client, code wire.ReasonCode) {
	t.Helper()
	<-client.Done()
	require.ErrorIs(t, client.Err(), code)
	srv.WantNone(time.Hour)
}

func TestWordsAboutWhoWeAreEndAClientTheSecondTime(t *testing.T) {
	for _, code := range []wire.ReasonCode{wire.NotAuthorized, wire.BadAuthenticationMethod, wire.SessionTakenOver} {
		for _, attempt := range []bool{false, true} {
			t.Run(fmt.Sprint(uint8(code), attempt), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					cfg := Quiet(srv)
					asked := 0
					if attempt {
						cfg.Attempt = func(context.Context, *mqtt.Attempt) error { asked++; return nil }
					}
					client, conn := Open(t, srv, cfg)
					evict(conn, code)
					conn = srv.Connected(Resumed())
					if attempt {
						require.Equal(t, 2, asked)
					}
					evict(conn, code)
					wantEnd(t, srv, client, code)
				})
			})
		}
	}
}

func TestHealthyConnectionBetweenRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		for range 5 { // tokens that expire hour by hour
			evict(conn, wire.NotAuthorized)
			conn = srv.Connected(Resumed())
			time.Sleep(time.Hour)
			evict(conn, wire.SessionTakenOver)
			conn = srv.Connected(Resumed())
			time.Sleep(time.Hour)
		}
		require.NoError(t, client.Err())
		evict(conn, wire.NotAuthorized)
		for range 3 { // other ends of connections do not begin a new row
			srv.Connected(Resumed()).Close()
		}
		evict(srv.Connected(Resumed()), wire.NotAuthorized)
		wantEnd(t, srv, client, wire.NotAuthorized)
	})
}

func TestOtherCredentialsBeginANewRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		tokens := 0
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			if tokens < 8 {
				tokens++
			}
			a.Username, a.Password = "u", mqtt.Secret(fmt.Sprint(tokens))
			return nil
		}
		client, conn := Open(t, srv, cfg)
		for range 7 {
			evict(conn, wire.NotAuthorized)
			conn = srv.Connected(Resumed())
		}
		evict(conn, wire.NotAuthorized)
		evict(srv.Connected(Resumed()), wire.NotAuthorized)
		wantEnd(t, srv, client, wire.NotAuthorized)
	})
}

func TestAttemptHearsWhyTheConnectionEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		var cause error
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error { cause = a.Cause; return nil }
		client, conn := Open(t, srv, cfg)
		evict(conn, wire.NotAuthorized)
		srv.Connected(Resumed())
		synctest.Wait()
		require.ErrorIs(t, cause, mqtt.NotAuthorized)
		require.NoError(t, client.Err())
	})
}

// TestSecondConnackThatRefusesCredentials is how servers before 5.0 say it.
func TestSecondConnackThatRefusesCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, Quiet(srv))
		conn.Send(&wire.Connack{ReasonCode: wire.NotAuthorized})
		conn.WantClosed()
		srv.Connected(&wire.Connack{}).Send(&wire.Connack{ReasonCode: wire.NotAuthorized})
		wantEnd(t, srv, client, wire.NotAuthorized)
	})
}

// TestRefusalThatAnswersOnePacket fails that packet alone, although the server says Not
// Authorized whenever it gets it.
func TestRefusalThatAnswersOnePacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		forbidden := Publish(t, client, "x", 1)
		for !forbidden.Over() {
			if _, ok := mqtttest.TakeWithin[*wire.Publish](conn, time.Minute); ok {
				conn.Send(&wire.Disconnect{ReasonCode: wire.NotAuthorized})
				conn.WantClosed()
			} else {
				conn.Close()
			}
			conn = srv.Connected(Resumed())
		}
		require.ErrorIs(t, forbidden.Wait(), mqtt.ErrUndeliverable)
		require.ErrorIs(t, forbidden.Wait(), mqtt.NotAuthorized)
		require.NoError(t, client.Err())
		good := Publish(t, client, "y", 1)
		conn.Send(Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
		require.NoError(t, good.Wait())
	})
}

// TestGhostsOfOwnAttempts finishes logins that were given up, one after the other.
func TestGhostsOfOwnAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RetryFirst, cfg.ConnectTimeout = true, time.Second
		d := Dial(t, cfg)
		for i := range 5 {
			conn := srv.Accept()
			conn.WantConnect()
			if i%2 == 0 {
				conn.Close() // as a proxy does that is tired of waiting
			}
		}
		conn := srv.Connected(&wire.Connack{})
		client := d.Client(t)
		for range 5 {
			evict(conn, wire.SessionTakenOver)
			conn = srv.Connected(Resumed())
		}
		evict(conn, wire.SessionTakenOver) // by somebody else, the first time
		evict(srv.Connected(Resumed()), wire.SessionTakenOver)
		wantEnd(t, srv, client, wire.SessionTakenOver)
	})
}

func TestGhostsDoNotLiveForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RetryFirst, cfg.ConnectTimeout = true, time.Second
		d := Dial(t, cfg)
		srv.Accept().WantConnect()
		conn := srv.Connected(&wire.Connack{})
		client := d.Client(t)
		time.Sleep(11 * time.Minute)
		evict(conn, wire.SessionTakenOver)
		evict(srv.Connected(Resumed()), wire.SessionTakenOver)
		wantEnd(t, srv, client, wire.SessionTakenOver)
	})
}

// TestTwoProgramsWithOneIdentifier: the one that was there first gives way, and they are
// quick about it. However long they wait between attempts.
func TestTwoProgramsWithOneIdentifier(t *testing.T) {
	for _, pause := range []time.Duration{time.Millisecond, 40 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			cfg := mqtt.Config{ClientID: "c", Dial: b.Dial}
			first, err := mqtt.Connect(t.Context(), b.URL(), cfg)
			require.NoError(t, err)
			defer first.Close()
			time.Sleep(time.Hour)
			dials := 0
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if dials++; dials > 1 {
					time.Sleep(pause)
				}
				return b.Dial(ctx, network, address)
			}
			cfg.ConnectTimeout = time.Hour
			second, err := mqtt.Connect(t.Context(), b.URL(), cfg)
			require.NoError(t, err)
			defer second.Close()
			time.Sleep(24 * time.Hour)
			require.ErrorIs(t, first.Err(), mqtt.SessionTakenOver)
			require.NoError(t, second.Err())
			require.LessOrEqual(t, first.Stats().Connections+second.Stats().Connections, uint64(4))
		})
	}
}

// TestSessionThatSomebodyElseHasUsed is not the one that this client remembers: what was
// not acknowledged is a new message there, and identifiers are released before they are
// used.
func TestSessionThatSomebodyElseHasUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		waiting := Publish(t, client, "x", 2)
		conn.Want(Pub(1, 2, "x"))
		evict(conn, wire.SessionTakenOver)
		conn = srv.Connected(Resumed())
		conn.Want(Pubrel(2))
		conn.Send(&wire.Pubcomp{PacketID: 2, ReasonCode: wire.PacketIdentifierNotFound})
		conn.Want(Pub(2, 2, "x")) // without DUP
		conn.Send(Pubrec(2))
		conn.Want(Pubrel(2))
		conn.Send(Pubcomp(2))
		require.NoError(t, waiting.Wait())
	})
}

// TestGhostMayHaveEmptiedTheSession: the session is the one of before or an empty one.
func TestGhostMayHaveEmptiedTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RetryFirst, cfg.ConnectTimeout = true, time.Second
		d := Dial(t, cfg)
		srv.Accept().WantConnect()
		conn := srv.Connected(&wire.Connack{})
		client := d.Client(t)
		events := client.Watch(t.Context())
		waiting := Publish(t, client, "x", 1)
		conn.Want(Pub(1, 1, "x"))
		evict(conn, wire.SessionTakenOver)
		conn = srv.Connected(Resumed())
		conn.Want(Dup(1, 1, "x"))
		conn.Send(Puback(1))
		require.NoError(t, waiting.Wait())
		require.True(t, Seen(events, func(e mqtt.Event) bool { return e.State == mqtt.Connected && e.Unproven }))
	})
}
