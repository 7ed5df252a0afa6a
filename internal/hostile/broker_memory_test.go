package hostile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// memoryScenarios are about what the broker keeps for clients that are let in.
func memoryScenarios() []brokerScenario {
	plain := func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} }
	return []brokerScenario{
		{
			name: "PUBLISH of nothing but user properties, then silence", setup: plain,
			limit: func(a *attack) int { return packetMaximum(a) }, multiple: 4,
			attack: func(a *attack) {
				publish := PublishOfProperties("x", 0, 0, (packetMaximum(a)-100)/5)
				for i := range 20 {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("p", i)}, local(i))
					if err != nil {
						continue
					}
					if p.Flood(publish, 1, 2*attackPatience); p.Sync() == nil {
						a.landed.Add(1)
					}
				}
			},
		},
		{
			name: "unfinished packets on every connection", setup: plain,
			limit: unfinishedLimit, multiple: 2,
			attack: func(a *attack) {
				publish := PublishOfPayload("x", 0, 0, packetMaximum(a)-100)
				a.each(a.times(300, 1000), 20, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("p", i)}, local(i%50))
					if err == nil {
						a.landed.Add(int64(p.Flood(publish[:len(publish)-1], 1, time.Second)))
					}
				})
			},
			least: 1 << 20,
		},
		{
			name: "queues of absent sessions", setup: plain,
			limit: memoryLimit, multiple: 2,
			attack: func(a *attack) {
				n := a.times(100, 500)
				for i := range n {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("q", i), SessionExpiryInterval: 604800}, local(i%50))
					if err != nil {
						return
					}
					_ = p.Send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: fmt.Sprint("q/", i), QoS: 1}}})
					_, _ = Await[*wire.Suback](p)
					p.Close()
				}
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.9")
				if err != nil {
					return
				}
				for i := range n {
					b := PublishOfPayload(fmt.Sprint("q/", i), 1, 1, 100_000)
					a.landed.Add(int64(p.Pour(b, a.times(15, 350), attackPatience)))
				}
			},
			least: 1 << 20,
		},
		{
			name: "queues of absent sessions, properties", setup: plain,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				n := a.times(50, 500)
				for i := range n {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("q", i), SessionExpiryInterval: 604800}, local(i%50))
					if err != nil {
						return
					}
					_ = p.Send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: fmt.Sprint("q/", i), QoS: 1}}})
					_, _ = Await[*wire.Suback](p)
					p.Close()
				}
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.9")
				if err != nil {
					return
				}
				for i := range n {
					b := PublishOfProperties(fmt.Sprint("q/", i), 1, 1, 4000)
					a.landed.Add(int64(p.Pour(b, a.times(50, 500), attackPatience)))
				}
			},
			least: 1 << 20,
		},
		retainedFlood("retained payloads", 2, func(topic string) []byte { return retained(PublishOfPayload(topic, 1, 1, 20_000)) }),
		retainedFlood("retained properties", 4, func(topic string) []byte { return retained(publish(topic, 1, 1, EmptyProperties(4000), []byte("x"))) }),
		retainedFlood("retained long topics", 4, func(topic string) []byte {
			return retained(PublishOfPayload(topic+"/"+strings.Repeat("t", 60_000), 1, 1, 1))
		}),
		retainedFlood("retained deep topics", 4, func(topic string) []byte {
			return retained(PublishOfPayload(topic+strings.Repeat("/"+topic, 40), 1, 1, 1))
		}),
		{
			name: "QoS 2 identifiers without PUBREL", setup: plain,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				flood := make(map[wire.Version][]byte)
				for _, v := range versions {
					var b []byte
					for id := range 65_535 {
						b, _ = (&wire.Publish{Topic: "x", QoS: 2, PacketID: uint16(id + 1)}).Append(b, v)
					}
					flood[v] = b
				}
				a.each(a.times(60, 1000), 10, func(i int) {
					v := versions[i%3]
					p, _, err := a.join(v, &wire.Connect{ClientID: fmt.Sprint("q", i), SessionExpiryInterval: 1000}, local(i%50))
					if err != nil {
						return
					}
					a.landed.Add(int64(p.Pour(flood[v], 1, attackPatience)))
				})
			},
			least: 100_000,
		},
		{
			name: "topic aliases of long topics", setup: plain,
			limit: aliasLimit, multiple: 2,
			attack: func(a *attack) {
				a.each(a.times(60, 1000), 10, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("a", i)}, local(i%50))
					if err != nil {
						return
					}
					var b []byte
					for alias := range 64 {
						topic := fmt.Sprint(i, "/", alias, "/", strings.Repeat("t", 60_000))
						b = append(b, encode(&wire.Publish{Topic: topic, Properties: &wire.PublishProperties{TopicAlias: uint16(alias + 1)}})...)
					}
					a.landed.Add(int64(p.Pour(b, 1, attackPatience)))
				})
			},
			least: 64,
		},
		{
			name: "known topics that are long", setup: plain,
			limit: aliasLimit, multiple: 2,
			attack: func(a *attack) {
				a.each(a.times(60, 1000), 10, func(i int) {
					p, _, err := a.join(wire.V311, &wire.Connect{ClientID: fmt.Sprint("k", i)}, local(i%50))
					if err != nil {
						return
					}
					var b []byte
					for n := range 200 {
						topic := fmt.Sprint(i, "/", n, "/", strings.Repeat("t", 10_000))
						b, _ = (&wire.Publish{Topic: topic}).Append(b, wire.V311)
					}
					a.landed.Add(int64(p.Pour(b, 3, attackPatience)))
				})
			},
			least: 64,
		},
		{
			name: "a subscriber that never reads", setup: plain,
			limit: func(a *attack) int { return 6 * a.of(1, 32) << 20 }, multiple: 2,
			attack: func(a *attack) {
				for qos := range wire.QoS(3) {
					for i := range 2 {
						p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("n", i, qos), SessionExpiryInterval: 1000}, "127.0.0.9")
						if err == nil {
							_ = p.Send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: "never/#", QoS: qos}}})
						}
					}
				}
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.10")
				if err != nil {
					return
				}
				b := retained(PublishOfPayload("never/x", 1, 1, 50_000))
				b[0] &^= 1
				a.landed.Add(int64(p.Pour(b, a.times(400, 8000), attackPatience)))
			},
			least: 1 << 20,
		},
		{
			name: "answers that nobody reads", setup: plain,
			limit: func(a *attack) int { return 20 * 512 << 10 }, multiple: 2,
			attack: func(a *attack) {
				a.each(20, 20, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("u", i)}, local(i))
					if err != nil {
						return
					}
					packet := [][]byte{
						encode(&wire.Pingreq{}), encode(&wire.Pubrel{PacketID: 7}),
						encode(&wire.Publish{Topic: "x", QoS: 1, PacketID: 7}),
						encode(&wire.Unsubscribe{PacketID: 7, Filters: []string{"never"}}),
						encode(&wire.Subscribe{PacketID: 7, Filters: []wire.SubscribeFilter{{Filter: "never"}}}),
					}[i%5]
					a.landed.Add(int64(p.Flood(repeat(packet, 10_000), a.times(30, 300), time.Second)))
				})
			},
			least: 1 << 20,
		},
		{
			name: "SUBSCRIBE of half a million filters", setup: plain,
			limit: func(a *attack) int { return 10 * packetMaximum(a) }, multiple: 4,
			attack: func(a *attack) {
				n := packetMaximum(a)/6 - 10
				body := append([]byte{0, 1, 0}, repeat([]byte{0, 3, 'a', '/', 'b', 0}, n)...)
				subscribe := Packet(0x82, body)
				a.each(10, 10, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("s", i)}, local(i))
					if err != nil {
						return
					}
					a.landed.Add(int64(p.Pour(subscribe, a.times(2, 5), 2*attackPatience)))
				})
			},
			least: 1 << 20,
		},
		{
			name: "SUBSCRIBE of user properties", setup: plain,
			limit: func(a *attack) int { return 10 * packetMaximum(a) }, multiple: 4,
			attack: func(a *attack) {
				subscribe := Packet(0x82, []byte{0, 1}, EmptyProperties(packetMaximum(a)/5-20), []byte{0, 3, 'a', '/', 'b', 0})
				a.each(10, 10, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("s", i)}, local(i))
					if err != nil {
						return
					}
					a.landed.Add(int64(p.Pour(subscribe, a.times(2, 5), 2*attackPatience)))
				})
			},
			least: 1 << 20,
		},
		{
			name: "wills of user properties", setup: plain,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				will := &wire.Will{Topic: "will", Payload: make([]byte, 60_000), UserProperties: make([]wire.UserProperty, 50_000)}
				a.each(a.times(200, 2000), 10, func(i int) {
					if _, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("w", i), Will: will}, local(i%50)); err == nil {
						a.landed.Add(1)
					}
				})
			},
			check: func(t *testing.T, _ *attack, r Report) { require.NotNil(t, r.Broker) },
		},
		{
			name: "wills of absent sessions, put off", setup: plain,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				will := &wire.Will{Topic: "will", Payload: make([]byte, 60_000), DelayInterval: 100_000}
				a.each(a.times(380, 10_000), 10, func(i int) {
					c := &wire.Connect{ClientID: fmt.Sprint("w", i), Will: will, SessionExpiryInterval: 100_000}
					if p, _, err := a.join(wire.V5, c, local(i%50)); err == nil {
						p.Close()
						a.landed.Add(1)
					}
				})
			},
			least: 1,
		},
	}
}

// packetMaximum is the largest packet that the broker takes.
func packetMaximum(a *attack) int { return a.of(1, 16) << 20 }

// unfinishedLimit, memoryLimit and aliasLimit are sums over all clients.
func unfinishedLimit(a *attack) int { return a.of(64, 256) << 20 }
func memoryLimit(a *attack) int     { return a.of(16, 1024) << 20 }
func aliasLimit(a *attack) int      { return a.of(16, 256) << 20 }

// retained sets the flag in an encoded PUBLISH.
func retained(publish []byte) []byte {
	publish[0] |= 1
	return publish
}

func retainedFlood(name string, multiple int, shape func(topic string) []byte) brokerScenario {
	return brokerScenario{
		name:  name,
		setup: func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} },
		limit: func(a *attack) int { return a.of(8, 256) << 20 }, multiple: multiple,
		attack: func(a *attack) {
			a.each(a.times(4, 50), 4, func(i int) {
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("r", i)}, local(i))
				if err != nil {
					return
				}
				for n := range a.times(600, 3000) {
					m := p.Pour(shape(fmt.Sprint("retained/", i, "/", n)), 1, attackPatience)
					if m == 0 {
						return
					}
					a.landed.Add(int64(m))
				}
			})
		},
		least: 1 << 20,
		check: func(t *testing.T, a *attack, r Report) { require.NotZero(t, r.Broker.Stats.Retained) },
	}
}
