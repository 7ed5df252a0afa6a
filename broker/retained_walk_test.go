package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

const manyRetained = 1500

// retainMany makes more than a connection holds that nobody reads from.
func retainMany(t *testing.T, b *Broker, qos wire.QoS) {
	t.Helper()
	old := "old" + strings.Repeat(" ", 500)
	for i := range manyRetained {
		p := retain(fmt.Sprintf("r/%04d", i), old)
		p.QoS = qos
		require.NoError(t, b.Publish(p))
	}
}

// texts takes up to n messages, or all there are if n is 0, and returns what came on each
// topic.
func (s *script) texts(n int) map[string][]string {
	s.t.Helper()
	got := map[string][]string{}
	for i := 0; n == 0 || i < n; i++ {
		p, err := s.next()
		if err != nil {
			break
		}
		switch p := p.(type) {
		case *wire.Publish:
			got[p.Topic] = append(got[p.Topic], strings.TrimSpace(string(p.Payload)))
			switch p.QoS {
			case wire.AtLeastOnce:
				s.send(&wire.Puback{PacketID: p.PacketID})
			case wire.ExactlyOnce:
				s.send(&wire.Pubrec{PacketID: p.PacketID})
			}
		case *wire.Pubrel:
			s.send(&wire.Pubcomp{PacketID: p.PacketID})
			i--
		default:
			i--
		}
	}
	return got
}

// waits returns how many messages wait for the only session.
func waits(b *Broker) int { return b.Clients()[0].Waiting }

// ask subscribes without waiting for the answer.
func (s *script) ask(filters ...wire.SubscribeFilter) {
	s.t.Helper()
	s.send(&wire.Subscribe{PacketID: 7, Filters: filters})
	synctest.Wait()
}

func wantNoWalk(t *testing.T, b *Broker) {
	t.Helper()
	wantRecount(t, b)
	require.Zero(t, b.walks.Load())
	for _, cl := range b.clients {
		require.Empty(t, cl.walks)
	}
}

func TestManyRetainedMessagesComeStepByStep(t *testing.T) {
	for _, v := range versions {
		for qos := range wire.QoS(3) {
			run(t, Config{}, func(t *testing.T, b *Broker) {
				retainMany(t, b, qos)
				s, _ := join(t, b, v, durableConnect(v, "c"))
				s.ask(filter("r/#", 2), filter("+/0007", 2))
				require.LessOrEqual(t, waits(b), walkAhead+step().topics)
				got := map[string][]string{}
				for len(got["r/0007"]) < 2 || len(got) < manyRetained {
					for topic, texts := range s.texts(50) {
						got[topic] = append(got[topic], texts...)
					}
					require.LessOrEqual(t, waits(b), walkAhead+step().topics)
				}
				require.Empty(t, s.texts(0))
				for topic, texts := range got {
					require.Equal(t, topic == "r/0007", len(texts) == 2)
				}
				require.Zero(t, b.Stats().Dropped)
				wantNoWalk(t, b)
			})
		}
	}
}

func TestALiveMessageComesBehindWhatWasRetained(t *testing.T) {
	for qos := range wire.QoS(3) {
		for name, cfg := range map[string]Config{"plain": {}, "store": {Store: store.Memory()}} {
			t.Run(fmt.Sprint(name, qos), func(t *testing.T) {
				run(t, cfg, func(t *testing.T, b *Broker) {
					retainMany(t, b, qos)
					s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", SessionExpiryInterval: 60, ReceiveMaximum: 10})
					s.ask(filter("r/#", 2))
					require.EqualValues(t, 1, b.walks.Load())
					for _, topic := range []string{"r/0001", "r/1250", "r/1499", "r/new"} {
						for i := range 2 {
							require.NoError(t, b.Publish(&wire.Publish{Topic: topic, Payload: fmt.Append(nil, "live ", i), QoS: qos}))
						}
					}
					replaced := retain("r/1000", "live")
					replaced.QoS = qos
					require.NoError(t, b.Publish(replaced))
					require.NoError(t, b.Publish(&wire.Publish{Topic: "r/1001", QoS: qos, Retain: true}))
					wantRecount(t, b)
					got := s.texts(0)
					require.Len(t, got, manyRetained+1)
					require.Equal(t, []string{"live 0", "live 1"}, got["r/new"])
					for _, topic := range []string{"r/0001", "r/1250", "r/1499"} {
						require.Equal(t, []string{"old", "live 0", "live 1"}, got[topic])
					}
					require.Equal(t, []string{"old", "live"}, got["r/1000"])
					require.Equal(t, []string{"old", ""}, got["r/1001"])
					require.Equal(t, []string{"old"}, got["r/1002"])
					wantNoWalk(t, b)
				})
			})
		}
	}
}

func TestRepeatedSubscribeBeginsAgain(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		retainMany(t, b, 1)
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", CleanStart: true, ReceiveMaximum: 10})
		for range 100 {
			s.ask(filter("r/#", 1))
		}
		require.EqualValues(t, 1, b.walks.Load())
		require.LessOrEqual(t, waits(b), walkAhead+step().topics)
		got := s.texts(0)
		require.Len(t, got, manyRetained)
		sum := 0
		for _, texts := range got {
			sum += len(texts)
		}
		require.LessOrEqual(t, sum, manyRetained+walkAhead+step().topics)
		wantNoWalk(t, b)
	})
}

func TestASubscriptionThatIsReplacedGoesOnWithItsRetainedMessages(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		retainMany(t, b, 1)
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", CleanStart: true, ReceiveMaximum: 10})
		s.ask(filter("r/#", 1))
		s.ask(wire.SubscribeFilter{Filter: "r/#", RetainHandling: wire.SendRetainedIfNew})
		s.ask(wire.SubscribeFilter{Filter: "r/#", RetainHandling: wire.DontSendRetained})
		got := s.texts(0)
		require.Len(t, got, manyRetained)
		for _, texts := range got {
			require.Equal(t, []string{"old"}, texts)
		}
		wantNoWalk(t, b)
	})
}

func TestUnsubscribeAndTheEndOfTheSessionEndWhatIsLeft(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		retainMany(t, b, 1)
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", CleanStart: true, ReceiveMaximum: 10})
		s.ask(filter("r/#", 1))
		s.send(&wire.Unsubscribe{PacketID: 9, Filters: []string{"r/#"}})
		synctest.Wait()
		require.Zero(t, b.walks.Load())
		require.LessOrEqual(t, len(s.texts(0)), walkAhead+step().topics)
		s.ask(filter("+/+", 1))
		require.EqualValues(t, 1, b.walks.Load())
		s.cut()
		wantNoWalk(t, b)
	})
}

func TestARetainedWalkGoesOnWithTheSession(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		retainMany(t, b, 1)
		s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		s.ask(filter("r/#", 1))
		got := s.texts(500)
		s.cut()
		require.NoError(t, b.Publish(&wire.Publish{Topic: "r/1499", Payload: []byte("live"), QoS: 1}))
		wantRecount(t, b)
		s = resume(t, b, wire.V5, "c")
		for topic, texts := range s.texts(0) {
			got[topic] = append(got[topic], texts...)
		}
		require.Len(t, got, manyRetained)
		require.Equal(t, []string{"old", "live"}, got["r/1499"])
		wantNoWalk(t, b)
	})
}

func TestARetainedWalkSurvivesACrash(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		retainMany(t, w.broker, 1)
		s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, "c"))
		s.ask(filter("r/#", 1))
		got := s.texts(700)
		s.net.Close()
		s = resume(t, w.kill(), wire.V5, "c")
		for topic, texts := range s.texts(0) {
			got[topic] = append(got[topic], texts...)
		}
		require.Len(t, got, manyRetained)
		wantNoWalk(t, w.broker)
		advance(time.Second)
		// What is done is done.
		s.net.Close()
		s = resume(t, w.kill(), wire.V5, "c")
		s.idle()
		wantNoWalk(t, w.broker)
	})
}

func TestExpiredRetainedMessagesMakeRoomStepByStep(t *testing.T) {
	run(t, Config{RetainedMessages: 1000}, func(t *testing.T, b *Broker) {
		for i := range 1000 {
			p := retain(fmt.Sprint("old/", i), "x")
			p.Properties = &wire.PublishProperties{MessageExpiryInterval: new(uint32(5))}
			require.NoError(t, b.Publish(p))
		}
		require.ErrorIs(t, b.Publish(retain("new", "x")), wire.QuotaExceeded)
		advance(6 * time.Second)
		require.NoError(t, b.Publish(retain("new", "x")))
		for i := range 900 {
			p := retain(fmt.Sprint("new/", i), "x")
			if b.Publish(p) != nil {
				advance(purgeInterval) // a step at a time
				require.NoError(t, b.Publish(p))
			}
		}
		wantRecount(t, b)
	})
}

// TestNoStepIsLong counts what is done under the lock, with topics of any length.
func TestNoStepIsLong(t *testing.T) {
	var x topicIndex
	long := strings.Repeat("x", 10_000)
	for i := range 1000 {
		x.set(topicMessage(fmt.Sprint(long, i)))
	}
	_, short := x.found("+", 1<<20)
	require.Equal(t, 10, short)
	for _, filter := range []string{"#", "+", "+/none", "x/+"} {
		from, over := "", false
		for !over {
			e, looked := step(), 0
			from, over = x.walk(filter, from, &e, func(*message) bool {
				looked++
				return true
			})
			require.LessOrEqual(t, looked, 7)
		}
	}
}

func TestALocalSubscriptionGetsAllRetainedMessages(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		retainMany(t, b, 0)
		sub, err := b.Subscribe("r/+", 2*manyRetained)
		require.NoError(t, err)
		require.Len(t, slices.Collect(func(yield func(string) bool) {
			for _, text := range taken(sub) {
				if !yield(text) {
					return
				}
			}
		}), manyRetained)
		require.Zero(t, b.walks.Load())
		require.NoError(t, sub.Close())
	})
}
