package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// taken returns the payloads that wait in a subscription.
func taken(s *Subscription) (texts []string) {
	for {
		select {
		case p, ok := <-s.Messages():
			if !ok {
				return append(texts, "closed")
			}
			texts = append(texts, string(p.Payload))
		default:
			return texts
		}
	}
}

func TestProgramSubscribes(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.send(retain("a/old", "retained"))
		synctest.Wait()
		sub, err := b.Subscribe("a/#", 0)
		require.NoError(t, err)
		got := <-sub.Messages()
		require.Equal(t, retain("a/old", "retained"), got)

		properties := &wire.PublishProperties{ContentType: "t", UserProperties: []wire.UserProperty{{Name: "n", Value: "v"}}}
		publishAs(s, "other", "x", 0)
		s.send(&wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 2, PacketID: 3, Properties: properties})
		s.want(&wire.Pubrec{PacketID: 3}) // somebody was there
		require.Equal(t, &wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 2, Properties: properties}, <-sub.Messages())
		s.send(retain("a", "y"))
		synctest.Wait()
		require.True(t, (<-sub.Messages()).Retain) // as it was published

		require.NoError(t, sub.Close())
		require.NoError(t, sub.Close())
		publishAs(s, "a", "late", 0)
		synctest.Wait()
		require.Equal(t, []string{"closed"}, taken(sub))
		require.Zero(t, b.routes.Len())
	})
}

func TestSlowProgramLosesOnlyItsOwnMessages(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		slow, err := b.Subscribe("#", 3)
		require.NoError(t, err)
		quick, err := b.Subscribe("#", 100)
		require.NoError(t, err)
		for i := range 10 {
			require.NoError(t, b.Publish(message0("a", fmt.Sprint(i))))
		}
		require.Equal(t, []string{"0", "1", "2"}, taken(slow))
		require.Equal(t, uint64(7), slow.Dropped())
		require.Len(t, taken(quick), 10)
		require.Zero(t, quick.Dropped())
		require.Equal(t, uint64(7), b.Stats().Dropped)
	})
}

func TestProgramSharesASubscription(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("$share/g/a", 0))
		sub, err := b.Subscribe("$share/g/a", 0)
		require.NoError(t, err)
		for range 10 {
			require.NoError(t, b.Publish(message0("a", "x")))
		}
		require.Len(t, taken(sub), 5)
		for range 5 {
			s.want(message0("a", "x"))
		}
		s.idle()
	})
}

func TestProgramsSubscriptionEndsWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		sub, err := b.Subscribe("#", 0)
		require.NoError(t, err)
		require.NoError(t, b.Publish(message0("a", "x")))
		require.NoError(t, b.Close())
		require.Equal(t, []string{"x", "closed"}, taken(sub))
		require.NoError(t, sub.Close())
		_, err = b.Subscribe("#", 0)
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestProgramsFilterIsChecked(t *testing.T) {
	run(t, Config{TopicLevels: 3}, func(t *testing.T, b *Broker) {
		for _, f := range []string{"", "a/#/b", "$share//a", "a/b/c/d"} {
			_, err := b.Subscribe(f, 0)
			require.Error(t, err, f)
		}
	})
}

func TestClientsAreListed(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		require.Empty(t, b.Clients())
		start := time.Now()
		away, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "away", SessionExpiryInterval: 60, Username: new("u")})
		away.subscribe(filter("a", 1), filter("b", 0))
		advance(time.Second)
		away.cut()
		join(t, b, wire.V311, &wire.Connect{ClientID: "old"})
		clean(t, b, "here")
		properties := &wire.PublishProperties{UserProperties: []wire.UserProperty{{Name: "n", Value: "v"}}}
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte("xyz"), QoS: 1, Properties: properties}))

		infos := b.Clients()
		require.Len(t, infos, 3)
		require.Equal(t, "u", infos[0].Peer.Username)
		infos[0].Peer = nil
		require.Equal(t, ClientInfo{
			Since: start.Add(time.Second), SessionExpiry: time.Minute, Subscriptions: 2, Waiting: 1, WaitingBytes: 4 + 2 + wire.CostOf(make([]wire.UserProperty, 1)),
		}, infos[0])
		require.Equal(t, "here", infos[1].Peer.ClientID)
		require.True(t, infos[1].Connected)
		require.Zero(t, infos[1].SessionExpiry)
		require.Equal(t, wire.V311, infos[2].Peer.Version)
		require.Equal(t, 7*24*time.Hour, infos[2].SessionExpiry)
	})
	run(t, Config{SessionExpiryMaximum: 1 << 62}, func(t *testing.T, b *Broker) {
		join(t, b, wire.V311, &wire.Connect{ClientID: "old"})
		require.Equal(t, time.Duration(-1), b.Clients()[0].SessionExpiry)
	})
}

func TestDisconnectWithAReasonOfOtherPackets(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		require.True(t, b.Disconnect("c", wire.Banned))
		s.ended(wire.UnspecifiedError)
	})
}
