package broker

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// A message whose hook still thinks when its connection goes belongs to the
// session: its repeat has to be acknowledged, or nothing behind it ever is.
func TestAMessageThatOutlivesItsConnectionIsAcknowledged(t *testing.T) {
	for _, early := range []bool{false, true} {
		for _, qos := range []wire.QoS{wire.AtLeastOnce, wire.ExactlyOnce} {
			thinks := make(chan struct{})
			hook := AuthorizerFunc(func(_ context.Context, a *Access) Decision {
				if a.Action == PublishAction && a.Topic == "slow" {
					<-thinks
				}
				return Allow()
			})
			synctest.Test(t, func(t *testing.T) {
				thinks = make(chan struct{})
				b := New(Config{Authorizers: []Authorizer{hook}})
				defer b.Close()
				reader := clean(t, b, "reader")
				reader.subscribe(filter("slow", 0))
				first, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
				first.send(&wire.Publish{Topic: "slow", QoS: qos, PacketID: 1})
				synctest.Wait()

				second, ack := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
				require.True(t, ack.SessionPresent)
				if early {
					close(thinks)
					synctest.Wait()
				}
				second.send(&wire.Publish{Topic: "slow", QoS: qos, PacketID: 1, Duplicate: true},
					&wire.Publish{Topic: "next", QoS: qos, PacketID: 2})
				synctest.Wait()
				if !early {
					close(thinks)
				}
				for id := uint16(1); id <= 2; id++ {
					code := wire.Success
					if id == 2 {
						code = wire.NoMatchingSubscribers
					}
					if qos == wire.AtLeastOnce {
						second.want(&wire.Puback{PacketID: id, ReasonCode: code})
					} else {
						second.want(&wire.Pubrec{PacketID: id, ReasonCode: code})
					}
				}
				reader.want(message0("slow", ""))
				reader.idle()
			})
		}
	}
}

// [MQTT-3.1.2-6] of 3.1.1; on 5.0 the session of a connection without expiry
// interval ends when it is taken over.
func TestASessionWithoutExpiryIsNotTakenOver(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			reader := clean(t, b, "reader")
			reader.subscribe(filter("will", 0))
			passing := &wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "will", Payload: []byte("w")}}
			if v == wire.V5 {
				passing.Will.DelayInterval = 10
			}
			old, _ := join(t, b, v, passing)
			old.subscribe(filter("t", 1))
			fresh, ack := join(t, b, v, durableConnect(v, "c"))
			require.False(t, ack.SessionPresent)
			reader.want(message0("will", "w"))
			require.Zero(t, b.Clients()[0].Subscriptions)
			fresh.idle()
			old.ended(wire.SessionTakenOver)
		})
	}
}

// What came before a hook that takes its time must not wait with it.
func TestASlowHookHoldsUpOnlyItsClient(t *testing.T) {
	for name, cfg := range map[string]func(wait func()) Config{
		"authorizer": func(wait func()) Config {
			return Config{Authorizers: []Authorizer{AuthorizerFunc(func(_ context.Context, a *Access) Decision {
				if a.Action == PublishAction && a.Topic == "slow" {
					wait()
				}
				return Allow()
			})}}
		},
		"observer": func(wait func()) Config {
			return Config{Observers: []Observer{ObserverFunc(func(e Event) {
				if p, ok := e.(Published); ok && p.Message.Topic == "slow" {
					wait()
				}
			})}}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			thinks := make(chan struct{})
			b := New(cfg(func() { <-thinks }))
			defer b.Close()
			reader, writer := clean(t, b, "reader"), clean(t, b, "writer")
			reader.subscribe(filter("#", 0))
			writer.send(&wire.Publish{Topic: "quick", QoS: 1, PacketID: 1}, message0("slow", ""))
			reader.want(message0("quick", ""))
			writer.want(&wire.Puback{PacketID: 1})
			if name == "observer" {
				reader.want(message0("slow", ""))
			}
			reader.idle()
			close(thinks)
			synctest.Wait()
		})
	}
}
