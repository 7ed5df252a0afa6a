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

// inTurn returns an Attempt that uses one client identifier after the other, and the last from
// then on.
func inTurn(ids ...string) func(context.Context, *mqtt.Attempt) error {
	return func(_ context.Context, a *mqtt.Attempt) error {
		a.ClientID = ids[0]
		if len(ids) > 1 {
			ids = ids[1:]
		}
		return nil
	}
}

func TestAttemptChangesWhatConnectSays(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.KeepAlive, cfg.SessionExpiry = time.Minute, time.Hour
		cfg.Will = &mqtt.Will{Message: mqtt.Message{Topic: "will", Payload: []byte("first")}}
		if v == wire.V5 {
			cfg.Will.DelayInterval = 5 * time.Second
		}
		var seen []mqtt.Attempt
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			seen = append(seen, *a)
			switch len(seen) {
			case 2:
				a.Will.Payload[0] = 'F' // of the copy
				a.Will.QoS, a.KeepAlive, a.SessionExpiry = mqtt.AtLeastOnce, 10*time.Second, 2*time.Hour
			case 3:
				a.Will, a.KeepAlive, a.SessionExpiry, a.ClientID = nil, -1, -1, "c2"
			case 4:
				a.KeepAlive, a.SessionExpiry, a.ClientID = 0, 0, ""
			}
			return nil
		}
		d := Dial(t, cfg)
		var packets []*wire.Connect
		for i := range 4 {
			conn := srv.Accept()
			packets = append(packets, conn.WantConnect())
			conn.Send(&wire.Connack{})
			if i == 0 {
				d.Client(t)
			}
			conn.Close()
		}
		for i, want := range []struct {
			id        string
			keepAlive uint16
			expiry    uint32
			will      string
			qos       wire.QoS
		}{{"c1", 60, 3600, "first", 0}, {"c1", 10, 7200, "First", 1}, {"c2", 0, 0, "", 0}, {"c1", 60, 3600, "first", 0}} {
			p := packets[i]
			require.Equal(t, want.id, p.ClientID)
			require.Equal(t, want.keepAlive, p.KeepAlive)
			if v == wire.V5 {
				require.Equal(t, want.expiry, p.SessionExpiryInterval)
			}
			if want.will == "" {
				require.Nil(t, p.Will)
				continue
			}
			require.Equal(t, want.will, string(p.Will.Payload))
			require.Equal(t, want.qos, p.Will.QoS)
			require.Equal(t, v == wire.V5, p.Will.DelayInterval == 5)
		}
		for _, a := range seen[:4] {
			require.Equal(t, "will", a.Will.Topic)
			require.Equal(t, "c1", a.ClientID)
			require.Equal(t, time.Minute, a.KeepAlive)
			require.Equal(t, time.Hour, a.SessionExpiry)
		}
	})
}

func TestKeepAliveOfEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.KeepAlive = time.Hour
		n := 0
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			if n++; n == 2 {
				a.KeepAlive = 10 * time.Second
			}
			return nil
		}
		client, conn := Open(t, srv, cfg)
		conn.WantIdleFor(30 * time.Minute)
		conn.Close()
		conn = srv.Connected(Resumed())
		synctest.Wait()
		require.Equal(t, 10*time.Second, client.ServerInfo().KeepAlive)
		begun := time.Now()
		mqtttest.Take[*wire.Pingreq](conn)
		require.LessOrEqual(t, time.Since(begun), 10*time.Second)
	})
}

// A client identifier names the session. With another one nothing of the former may be
// taken for granted, and the way back is not proven.
func TestAnotherClientIdentifierIsAnotherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.SharedSessions = true // of the servers: that says nothing of identifiers
		cfg.Attempt = inTurn("a", "b", "a", "a")
		d := Dial(t, cfg)
		conn := srv.Accept()
		p := conn.WantConnect()
		require.Equal(t, "a", p.ClientID)
		require.True(t, p.CleanStart)
		conn.Send(&wire.Connack{})
		client := d.Client(t)
		sub := Subscribe(t, client, conn, "t", 2)
		published := PublishAsync(t, client, "out", 2)
		conn.Want(Pub(2, 2, "out"))
		conn.Send(Pubrec(2))
		conn.Want(Pubrel(2))
		conn.Send(Pub(7, 2, "in"))
		WantMessages(t, sub, "in")
		conn.Want(Pubrec(7))
		conn.Close()

		events := client.Watch(t.Context())
		conn = srv.Accept()
		p = conn.WantConnect()
		require.Equal(t, "b", p.ClientID)
		require.True(t, p.CleanStart, "nobody has used this identifier")
		conn.Send(&wire.Connack{})
		Renewed(t, conn)
		republished := mqtttest.Take[*wire.Publish](conn)
		require.False(t, republished.Duplicate, "it is new to this session")
		require.True(t, Seen(events, func(e mqtt.Event) bool { return e.Session == mqtt.SessionLost }))
		require.Equal(t, "b", client.ServerInfo().ClientID)
		conn.Send(Pub(7, 2, "of b")) // the same identifier in another session is another message
		WantMessages(t, sub, "of b")
		conn.Want(Pubrec(7))
		conn.Close()

		conn = srv.Accept()
		p = conn.WantConnect()
		require.Equal(t, "a", p.ClientID)
		require.False(t, p.CleanStart, "the server may have messages for us")
		conn.Send(Resumed())
		Renewed(t, conn)
		require.True(t, Seen(events, func(e mqtt.Event) bool { return e.Session == mqtt.SessionResumed && e.Unproven }))
		// This session may hold identifiers that have come to mean something else: they are
		// released before a message uses them.
		rel := mqtttest.Take[*wire.Pubrel](conn)
		conn.Send(Pubcomp(rel.PacketID))
		republished = mqtttest.Take[*wire.Publish](conn)
		require.False(t, republished.Duplicate)
		require.Equal(t, rel.PacketID, republished.PacketID)
		conn.Send(Dup(7, 2, "in")) // which was acknowledged
		conn.Want(Pubrec(7))
		WantMessages(t, sub)
		conn.Close()

		conn = srv.Connected(Resumed()) // a after a is proven
		Renewed(t, conn)
		republished = mqtttest.Take[*wire.Publish](conn)
		require.True(t, republished.Duplicate)
		conn.Send(Pubrec(republished.PacketID))
		conn.Want(Pubrel(republished.PacketID))
		conn.Send(Pubcomp(republished.PacketID))
		require.True(t, Settled(published))
		_, err := published.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestAStoreKnowsTheSessionsOfAllIdentifiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		cfg := Stored(srv, d)
		cfg.Attempt = inTurn("a", "b")
		client, conn := Open(t, srv, cfg)
		sub := Subscribe(t, client, conn, "t", 2)
		conn.Send(Pub(7, 2, "in"))
		WantMessages(t, sub, "in")
		conn.Want(Pubrec(7))
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		Renewed(t, conn)
		conn.Send(Pub(7, 2, "of b"))
		WantMessages(t, sub, "of b")
		conn.Want(Pubrec(7))

		next := d.Killed(t)
		conn.Close()
		srv.Refuse()
		synctest.Wait()
		srv = mqtttest.NewServer(t, wire.V5)
		cfg = Stored(srv, next)
		cfg.Attempt = inTurn("b", "a")
		opening := Dial(t, cfg)
		conn = srv.Accept()
		require.False(t, conn.WantConnect().CleanStart)
		conn.Send(Resumed())
		client = opening.Client(t)
		sub = Subscribe(t, client, conn, "t", 2)
		conn.Send(Dup(7, 2, "of b"))
		conn.Want(Pubrec(7))
		WantMessages(t, sub)
		conn.Close()
		conn = srv.Accept()
		p := conn.WantConnect()
		require.Equal(t, "a", p.ClientID)
		require.False(t, p.CleanStart)
		conn.Send(Resumed())
		Renewed(t, conn)
		conn.Send(Dup(7, 2, "in"))
		conn.Want(Pubrec(7))
		WantMessages(t, sub)
	})
}

func TestServerAssignsAnIdentifierToAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Attempt = inTurn("c1", mqtt.Empty, "c1")
		client, conn := Open(t, srv, cfg)
		conn.Close()
		conn = srv.Accept()
		p := conn.WantConnect()
		require.Empty(t, p.ClientID)
		require.True(t, p.CleanStart)
		conn.Send(&wire.Connack{AssignedClientID: "s1"})
		synctest.Wait()
		require.Equal(t, "s1", client.ServerInfo().ClientID)
		conn.Close()
		conn = srv.Accept()
		p = conn.WantConnect()
		require.Equal(t, "c1", p.ClientID)
		require.False(t, p.CleanStart, "a clean start as somebody else has not ended this session")
	})
}

func TestOwnConnectionsKeepTheirIdentifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			a.ClientID = "other"
			a.Will = &mqtt.Will{Message: mqtt.Message{Topic: "will"}}
			return nil
		}
		client, conn := Open(t, srv, cfg)
		require.Equal(t, "other", client.ServerInfo().ClientID)
		Begin(func() error {
			_, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: Filters("t"), OwnConnection: true})
			return err
		})
		own := srv.Accept()
		p := own.WantConnect()
		require.NotEqual(t, "other", p.ClientID)
		require.Contains(t, p.ClientID, "c1-")
		require.Nil(t, p.Will)
		own.Close()
		conn.Close()
	})
}

// What lasts is decided by the connection that is up, not by Config.
func TestSessionExpiryOfTheConnectionHoldsAtTheEnd(t *testing.T) {
	for name, test := range map[string]struct {
		config, attempt time.Duration
		keep            *time.Duration
		want            *uint32
		err             error
	}{
		"nothing was to stay":      {-1, time.Hour, nil, new(uint32(0)), nil},
		"kept all the same":        {-1, time.Hour, new(time.Minute), new(uint32(60)), nil},
		"there is nothing to keep": {time.Hour, -1, new(time.Minute), nil, mqtt.ErrInvalid},
		"it ends by itself":        {time.Hour, -1, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.SessionExpiry = test.config
				cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
					a.SessionExpiry = test.attempt
					return nil
				}
				client, conn := Open(t, srv, cfg)
				end := Begin(func() error {
					return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: test.keep})
				})
				if test.err != nil {
					require.ErrorIs(t, end.Wait(), test.err)
					conn.WantIdle()
					return
				}
				conn.Want(&wire.Disconnect{SessionExpiryInterval: test.want})
				conn.WantClosed()
				require.NoError(t, end.Wait())
			})
		})
	}
}

func TestAForeignServerGetsTheWillButNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := Cluster(t, 2)
		cfg := w.Config()
		cfg.Redirect = func(mqtt.Redirection) mqtt.RedirectAction { return mqtt.FollowWithoutCredentials }
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			a.Username, a.Password, a.ClientID = "u", "p", "chosen"
			a.Will = &mqtt.Will{Message: mqtt.Message{Topic: "will"}}
			return nil
		}
		d := Connect(t, "mqtt://10.0.0.1", cfg)
		s[0].Connected(Use("10.0.0.2"))
		conn := s[1].Accept()
		p := conn.WantConnect()
		require.Nil(t, p.Username)
		require.Empty(t, p.Password)
		require.Equal(t, "chosen", p.ClientID)
		require.Equal(t, "will", p.Will.Topic)
		conn.Send(&wire.Connack{})
		d.Client(t)
	})
}

func TestARefusedIdentifierIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.RetryFirst = true
		cfg.Attempt = inTurn("bad", "good")
		d := Dial(t, cfg)
		srv.Connected(&wire.Connack{ReasonCode: wire.ClientIdentifierNotValid})
		srv.Connected(&wire.Connack{})
		require.Equal(t, "good", d.Client(t).ServerInfo().ClientID)
	})
	for _, code := range []wire.ReasonCode{wire.ClientIdentifierNotValid, wire.QoSNotSupported} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.RetryFirst = true
			cfg.Attempt = inTurn("bad", "worse")
			d := Dial(t, cfg)
			for range 4 { // once as bad, three times as worse
				srv.Connected(&wire.Connack{ReasonCode: code})
			}
			require.ErrorIs(t, d.Call.Wait(), code)
		})
	}
}

// A take-over of one identifier says nothing of another.
func TestTakeOversCountForEachIdentifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Attempt = inTurn("a", "b", "a")
		client, conn := Open(t, srv, cfg)
		evict(conn, wire.SessionTakenOver)
		evict(srv.Connected(&wire.Connack{}), wire.SessionTakenOver)
		evict(srv.Connected(Resumed()), wire.SessionTakenOver) // a for the second time
		<-client.Done()
		require.ErrorIs(t, client.Err(), mqtt.SessionTakenOver)
	})
}

func TestAGivenUpConnectExplainsNoOtherIdentifier(t *testing.T) {
	for id, final := range map[string]bool{"a": false, "b": true} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.Attempt = inTurn("a", "a", id)
			client, conn := Open(t, srv, cfg)
			conn.Close()
			conn = srv.Accept()
			conn.WantConnect()
			time.Sleep(15 * time.Second) // it is given up
			for range 2 {
				evict(srv.Connected(&wire.Connack{}), wire.SessionTakenOver)
			}
			synctest.Wait()
			require.Equal(t, final, client.State() == mqtt.Closed)
		})
	}
}

// evict is the server ending a connection on which all was well.
func evict(conn *mqtttest.Conn, code wire.ReasonCode) {
	conn.Send(&wire.Disconnect{ReasonCode: code})
	conn.Close()
}

// The connection may be another one by the time DISCONNECT goes out.
func TestExpiryThatTheLastConnectionDoesNotAllowIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		n := 0
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			if n++; n > 1 {
				a.SessionExpiry = -1
			}
			return nil
		}
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, "x", 1)
		conn.Want(Pub(1, 1, "x"))
		end := Begin(func() error {
			return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: new(time.Minute)})
		})
		conn.WantIdle()
		conn.Close()
		conn = srv.Connected(Resumed())
		conn.Want(Dup(1, 1, "x"))
		conn.Send(Puback(1))
		conn.Want(&wire.Disconnect{})
		conn.WantClosed()
		require.NoError(t, end.Wait())
	})
}

func TestAnAssignedIdentifierStaysThatOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.ClientID = mqtt.Empty
		var seen []string
		cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
			if seen = append(seen, a.ClientID); len(seen) == 2 {
				a.ClientID = "other"
			}
			return nil
		}
		_, conn := OpenWith(t, srv, cfg, &wire.Connack{AssignedClientID: "s1"})
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		conn.Close()
		conn = srv.Accept()
		require.Equal(t, "s1", conn.WantConnect().ClientID)
		require.Equal(t, []string{"", "s1", "s1"}, seen)
	})
}

func TestAttemptKeepsWhatASessionNeeds(t *testing.T) {
	for name, spoil := range map[string]func(*mqtt.Attempt){
		"Attempt.ClientID":      func(a *mqtt.Attempt) { a.ClientID = mqtt.Empty },
		"Attempt.SessionExpiry": func(a *mqtt.Attempt) { a.SessionExpiry = -1 },
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Stored(srv, NewDisk())
			cfg.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
				spoil(a)
				return nil
			}
			err := Dial(t, cfg).Call.Wait()
			require.ErrorIs(t, err, mqtt.ErrInvalid)
			require.ErrorContains(t, err, name+": ")
			srv.WantNone(time.Hour)
		})
	}
}
