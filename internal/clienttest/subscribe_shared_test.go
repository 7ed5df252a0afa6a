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

// worker is a client whose session the server keeps.
func worker(t *testing.T, v wire.Version) (*mqtttest.Server, *mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	srv := mqtttest.NewServer(t, v)
	cfg := Quiet(srv)
	cfg.Resume = true
	client, conn := Open(t, srv, cfg)
	return srv, client, conn
}

func TestSharedFiltersAreLeftAtTheEndOfAClient(t *testing.T) {
	for name, end := range map[string]func(*mqtt.Client) error{
		"close":      (*mqtt.Client).Close,
		"disconnect": func(c *mqtt.Client) error { return c.Disconnect(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			Each(t, func(t *testing.T, v wire.Version) {
				_, client, conn := worker(t, v)
				SubscribeWith(t, client, conn, on("$share/g/b", "plain", "$share/g/a"))
				SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("$share/g/kept"), KeepShared: true})
				SubscribeWith(t, client, conn, on("$share/g/kept"))
				over := Begin(func() error { return end(client) })
				WantUnsubscribe(t, conn, "$share/g/a", "$share/g/b")
				conn.WantDisconnect(wire.NormalDisconnection)
				require.NoError(t, over.Wait())
			})
		})
	}
}

func TestOnlyASessionThatStaysIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		resume bool
		expiry *time.Duration
		leaves bool
	}{
		"ends with the client":    {false, nil, false},
		"ended by DISCONNECT":     {true, new(time.Duration(0)), false},
		"prolonged by DISCONNECT": {false, new(time.Hour), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.Resume = c.resume
				client, conn := Open(t, srv, cfg)
				Subscribe(t, client, conn, "$share/g/t", 1)
				over := Begin(func() error {
					return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: c.expiry})
				})
				if c.leaves {
					WantUnsubscribe(t, conn, "$share/g/t")
				}
				conn.WantDisconnect(wire.NormalDisconnection)
				require.NoError(t, over.Wait())
			})
		})
	}
}

func TestDisconnectLetsConsumersTakeWhatIsSentBeforeTheServerAgrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn := worker(t, wire.V5)
		sub := Subscribe(t, client, conn, "$share/g/t", 1)
		got := make(chan string, 9)
		h := beginOn(t, sub, list(got))
		over := Begin(func() error { return client.Disconnect(t.Context()) })
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(Pub(1, 1, "1"))
		conn.Want(Puback(1))
		require.False(t, over.Over())
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, over.Wait())
		require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
		wantStrings(t, got, "1")
	})
}

func TestDisconnectWaitsNoLongerThanItsContextForTheServerToAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn := worker(t, wire.V5)
		Subscribe(t, client, conn, "$share/g/t", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		over := Begin(func() error { return client.Disconnect(ctx) })
		mqtttest.Take[*wire.Unsubscribe](conn)
		conn.WantDisconnect(wire.NormalDisconnection) // and no second UNSUBSCRIBE
		require.ErrorIs(t, over.Wait(), context.DeadlineExceeded)
	})
}

func TestDisconnectDoesNotWaitForAConnectionToLeave(t *testing.T) {
	for _, waiting := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			_, client, conn := worker(t, wire.V5)
			Subscribe(t, client, conn, "$share/g/t", 1)
			var over *Call
			if waiting {
				over = Begin(func() error { return client.Disconnect(t.Context()) })
				mqtttest.Take[*wire.Unsubscribe](conn)
				conn.Close()
			} else {
				conn.Close()
				synctest.Wait()
				over = Begin(func() error { return client.Disconnect(t.Context()) })
			}
			require.NoError(t, over.Wait())
		})
	}
}

func TestManySharedFiltersAreLeftInSeveralPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Resume, cfg.FiltersPerSubscribe = true, 2
		client, conn := Open(t, srv, cfg)
		subscribing := Begin(func() error {
			_, err := client.SubscribeWith(t.Context(), on("$share/g/1", "$share/g/2", "$share/g/3"))
			return err
		})
		Grant(conn)
		Grant(conn)
		require.NoError(t, subscribing.Wait())
		over := Begin(func() error { return client.Disconnect(t.Context()) })
		WantUnsubscribe(t, conn, "$share/g/1", "$share/g/2")
		require.False(t, over.Over())
		WantUnsubscribe(t, conn, "$share/g/3")
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, over.Wait())
	})
}

func TestHandleLeavesSharedFiltersAndKeepsOthers(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		_, client, conn := worker(t, v)
		h := handle(t, client, conn, on("plain", "$share/g/t"), fail)
		conn.Send(Pub(1, 1, "1"))
		require.ErrorIs(t, h.Wait(), errHandler)
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		require.Equal(t, []string{"$share/g/t"}, u.Filters)
		// What is on its way, and what the server had queued for this worker alone.
		conn.Send(Pub(2, 1, "2"))
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: make([]wire.ReasonCode, 1)})
		conn.Send(Pub(3, 1, "3"))
		conn.WantIdle()
		got := make(chan string, 9)
		o := on("$share/g/t")
		o.KeepShared = true
		h = handle(t, client, conn, o, list(got))
		wantStrings(t, got, "1", "2", "3")
		conn.Want(Puback(1), Puback(2), Puback(3))
		h.end(errHandler)
		require.ErrorIs(t, h.Wait(), errHandler)
		conn.WantIdle() // it is kept
	})
}

// Nobody else gets what a server sends to a member of a group, so it is not
// acknowledged unless it was handled or dropped on purpose.
func TestLateMessagesOfASharedFilterAreNotDropped(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *mqtt.Client, *mqtttest.Conn){
		"handle": func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
			h := handle(t, client, conn, on("$share/g/t"), fail)
			h.end(errHandler)
			require.ErrorIs(t, h.Wait(), errHandler)
		},
		"drain": func(t *testing.T, client *mqtt.Client, conn *mqtttest.Conn) {
			sub := Subscribe(t, client, conn, "$share/g/t", 1)
			Begin(func() error { return sub.Drain(t.Context()) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				end(t, client, conn)
				WantUnsubscribe(t, conn, "$share/g/t")
				synctest.Wait()
				conn.Send(Pub(1, 1, "late"))
				conn.WantIdle()
				got := make(chan string, 9)
				handle(t, client, conn, on("$share/h/t"), list(got))
				wantStrings(t, got, "late")
				conn.Want(Puback(1))
			})
		})
	}
}

func TestWhatComesAfterUnsubscribeOfASharedFilterIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "$share/g/t", 1)
		end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
		WantUnsubscribe(t, conn, "$share/g/t")
		require.NoError(t, end.Wait())
		conn.Send(Pub(1, 1, "late"))
		conn.Want(Puback(1))
	})
}
