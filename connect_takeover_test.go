package mqtt_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

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
					cfg := quiet(srv)
					asked := 0
					if attempt {
						cfg.Attempt = func(context.Context, *mqtt.Attempt) error { asked++; return nil }
					}
					client, conn := open(t, srv, cfg)
					evict(conn, code)
					conn = srv.Connected(resumed())
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
		client, conn := open(t, srv, quiet(srv))
		for range 5 { // tokens that expire hour by hour
			evict(conn, wire.NotAuthorized)
			conn = srv.Connected(resumed())
			time.Sleep(time.Hour)
			evict(conn, wire.SessionTakenOver)
			conn = srv.Connected(resumed())
			time.Sleep(time.Hour)
		}
		require.NoError(t, client.Err())
		evict(conn, wire.NotAuthorized)
		for range 3 { // other ends of connections do not begin a new row
			srv.Connected(resumed()).Close()
		}
		evict(srv.Connected(resumed()), wire.NotAuthorized)
		wantEnd(t, srv, client, wire.NotAuthorized)
	})
}

func TestOtherCredentialsBeginANewRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		tokens := 0
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			if tokens < 8 {
				tokens++
			}
			a.Username, a.Password = "u", mqtt.Secret(fmt.Sprint(tokens))
			return nil
		}
		client, conn := open(t, srv, cfg)
		for range 7 {
			evict(conn, wire.NotAuthorized)
			conn = srv.Connected(resumed())
		}
		evict(conn, wire.NotAuthorized)
		evict(srv.Connected(resumed()), wire.NotAuthorized)
		wantEnd(t, srv, client, wire.NotAuthorized)
	})
}

func TestAttemptHearsWhyTheConnectionEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		var cause error
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error { cause = a.Cause; return nil }
		client, conn := open(t, srv, cfg)
		evict(conn, wire.NotAuthorized)
		srv.Connected(resumed())
		synctest.Wait()
		require.ErrorIs(t, cause, mqtt.NotAuthorized)
		require.NoError(t, client.Err())
	})
}

// TestSecondConnackThatRefusesCredentials is how servers before 5.0 say it.
func TestSecondConnackThatRefusesCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := open(t, srv, quiet(srv))
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
		client, conn := open(t, srv, quiet(srv))
		forbidden := publish(t, client, "x", 1)
		for !forbidden.over() {
			if _, ok := mqtttest.TakeWithin[*wire.Publish](conn, time.Minute); ok {
				conn.Send(&wire.Disconnect{ReasonCode: wire.NotAuthorized})
				conn.WantClosed()
			} else {
				conn.Close()
			}
			conn = srv.Connected(resumed())
		}
		require.ErrorIs(t, forbidden.wait(), mqtt.ErrUndeliverable)
		require.ErrorIs(t, forbidden.wait(), mqtt.NotAuthorized)
		require.NoError(t, client.Err())
		good := publish(t, client, "y", 1)
		conn.Send(puback(mqtttest.Take[*wire.Publish](conn).PacketID))
		require.NoError(t, good.wait())
	})
}

// TestGhostsOfOwnAttempts finishes logins that were given up, one after the other.
func TestGhostsOfOwnAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.RetryFirst, cfg.ConnectTimeout = true, time.Second
		d := dial(t, cfg)
		for i := range 5 {
			conn := srv.Accept()
			conn.WantConnect()
			if i%2 == 0 {
				conn.Close() // as a proxy does that is tired of waiting
			}
		}
		conn := srv.Connected(&wire.Connack{})
		client := d.client(t)
		for range 5 {
			evict(conn, wire.SessionTakenOver)
			conn = srv.Connected(resumed())
		}
		evict(conn, wire.SessionTakenOver) // by somebody else, the first time
		evict(srv.Connected(resumed()), wire.SessionTakenOver)
		wantEnd(t, srv, client, wire.SessionTakenOver)
	})
}

func TestGhostsDoNotLiveForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.RetryFirst, cfg.ConnectTimeout = true, time.Second
		d := dial(t, cfg)
		srv.Accept().WantConnect()
		conn := srv.Connected(&wire.Connack{})
		client := d.client(t)
		time.Sleep(11 * time.Minute)
		evict(conn, wire.SessionTakenOver)
		evict(srv.Connected(resumed()), wire.SessionTakenOver)
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
		client, conn := open(t, srv, quiet(srv))
		waiting := publish(t, client, "x", 2)
		conn.Want(pub(1, 2, "x"))
		evict(conn, wire.SessionTakenOver)
		conn = srv.Connected(resumed())
		conn.Want(pubrel(2))
		conn.Send(&wire.Pubcomp{PacketID: 2, ReasonCode: wire.PacketIdentifierNotFound})
		conn.Want(pub(2, 2, "x")) // without DUP
		conn.Send(pubrec(2))
		conn.Want(pubrel(2))
		conn.Send(pubcomp(2))
		require.NoError(t, waiting.wait())
	})
}

// TestGhostMayHaveEmptiedTheSession: the session is the one of before or an empty one.
func TestGhostMayHaveEmptiedTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := quiet(srv)
		cfg.RetryFirst, cfg.ConnectTimeout = true, time.Second
		d := dial(t, cfg)
		srv.Accept().WantConnect()
		conn := srv.Connected(&wire.Connack{})
		client := d.client(t)
		events := client.Watch(t.Context())
		waiting := publish(t, client, "x", 1)
		conn.Want(pub(1, 1, "x"))
		evict(conn, wire.SessionTakenOver)
		conn = srv.Connected(resumed())
		conn.Want(dup(1, 1, "x"))
		conn.Send(puback(1))
		require.NoError(t, waiting.wait())
		require.True(t, seen(events, func(e mqtt.Event) bool { return e.State == mqtt.Connected && e.Unproven }))
	})
}
