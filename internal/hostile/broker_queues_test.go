package hostile

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// queueScenarios are about what each message costs besides its bytes.
func queueScenarios() []brokerScenario {
	plain := func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} }
	return []brokerScenario{
		{
			name: "empty messages for absent sessions", setup: plain,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				for i := range a.times(100, 1000) {
					a.subscribeAndGo(i, []wire.SubscribeFilter{{Filter: "e", QoS: 1}})
				}
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.9")
				if err != nil {
					return
				}
				b := repeat(PublishOfPayload("e", 1, 1, 0), 1000)
				a.landed.Add(int64(p.Pour(b, a.times(20, 66), 2*attackPatience)))
			},
			least: 1000,
		},
		{
			name: "subscription identifiers by the thousand", setup: plain,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				for i := range a.times(5, 50) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("i", i), SessionExpiryInterval: 1000}, local(i))
					if err != nil {
						return
					}
					for bits := range a.times(1000, 8192) {
						_ = p.Send(&wire.Subscribe{PacketID: 1, SubscriptionID: uint32(bits + 1),
							Filters: []wire.SubscribeFilter{{Filter: someWild(bits), QoS: 1}}})
					}
					if p.Sync() == nil {
						a.landed.Add(1)
					}
					p.Close()
				}
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.9")
				if err != nil {
					return
				}
				p.Pour(PublishOfPayload(someWild(0), 1, 1, 0), a.times(10_000, 60_000), 2*attackPatience)
			},
			least: 1,
		},
		{
			name: "retained wills of clients that are cut", setup: plain,
			limit: func(a *attack) int { return a.of(8, 256) << 20 }, multiple: 2,
			attack: func(a *attack) {
				a.each(a.times(1500, 20_000), 10, func(i int) {
					will := &wire.Will{Topic: fmt.Sprint("will/", i), Payload: make([]byte, 50_000), Retain: true}
					if p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("w", i), Will: will}, local(i%50)); err == nil {
						p.Close()
						a.landed.Add(1)
					}
				})
			},
			least: 10,
		},
		{
			name: "aliases that the broker sets", setup: plain,
			limit: aliasLimit, multiple: 2,
			attack: func(a *attack) {
				for i := range a.times(60, 1000) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("al", i), TopicAliasMaximum: 65_535}, local(i%50))
					if err != nil {
						continue
					}
					_ = p.Send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: fmt.Sprint("al/", i, "/#")}}})
					var b []byte
					for n := range 40 {
						b = append(b, encode(&wire.Publish{Topic: fmt.Sprint("al/", i, "/", n, "/", strings.Repeat("t", 60_000))})...)
					}
					a.landed.Add(int64(p.Pour(b, 3, attackPatience)))
				}
			},
			least: 10,
		},
		{
			name: "a backlog that is asked for again and again", setup: plain,
			limit: func(a *attack) int { return 10 * a.of(1, 32) << 20 }, multiple: 2,
			attack: func(a *attack) {
				for i := range 10 {
					a.subscribeAndGo(i, []wire.SubscribeFilter{{Filter: "b", QoS: 1}})
				}
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.9")
				if err != nil {
					return
				}
				p.Pour(PublishOfPayload("b", 1, 1, 10_000), a.times(200, 4000), attackPatience)
				a.each(a.times(500, 5000), 10, func(i int) {
					if p, _, err := a.join(wire.V311, &wire.Connect{ClientID: fmt.Sprint("sub", i%10)}, local(i)); err == nil {
						a.landed.Add(1)
						p.Close()
					}
				})
			},
			least: 10,
		},
		{
			name: "UNSUBSCRIBE of half a million filters", setup: plain,
			limit: func(a *attack) int { return 10 * packetMaximum(a) }, multiple: 4,
			attack: func(a *attack) {
				n := packetMaximum(a)/5 - 10
				unsubscribe := Packet(0xa2, []byte{0, 1, 0}, repeat([]byte{0, 3, 'a', '/', 'b'}, n))
				a.each(10, 10, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("s", i)}, local(i))
					if err == nil {
						a.landed.Add(int64(p.Pour(unsubscribe, a.times(2, 5), 2*attackPatience)))
					}
				})
			},
			least: 1 << 20,
		},
		{
			name: "DISCONNECT and acknowledgements of user properties", setup: plain,
			limit: func(a *attack) int { return 10 * packetMaximum(a) }, multiple: 4,
			attack: func(a *attack) {
				properties := EmptyProperties(packetMaximum(a)/5 - 20)
				a.each(a.times(30, 60), 10, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("s", i)}, local(i))
					if err == nil {
						packet := [][]byte{Packet(0xe0, []byte{0}, properties), Packet(0x40, []byte{0, 1, 0}, properties), Packet(0x62, []byte{0, 1, 0}, properties)}[i%3]
						a.landed.Add(int64(p.Pour(packet, 1, 2*attackPatience)))
					}
				})
			},
			least: 1 << 20,
		},
		{
			name: "$SYS for everybody", setup: func(a *attack) BrokerSetup {
				return BrokerSetup{Config: small(a, func(c *broker.Config) { c.StatusInterval = 10 * time.Millisecond })}
			},
			limit: connectionLimit(connectedCost), multiple: 2,
			attack: func(a *attack) {
				a.each(a.times(200, 5000), 20, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("y", i)}, local(i%50))
					if err == nil && p.Send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: "$SYS/#", QoS: 2}}}) == nil {
						a.landed.Add(1)
					}
				})
			},
			least: 10,
		},
		{
			name: "PUBLISH to topics that nobody hears of again", setup: plain,
			limit: func(a *attack) int { return 4 << 20 }, multiple: 2,
			attack: func(a *attack) {
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.9")
				if err != nil {
					return
				}
				var b []byte
				for n := range 10_000 {
					topic := binary.BigEndian.AppendUint32([]byte("topic/"), uint32(n)|0x20202020&0x7f7f7f7f)
					b = append(b, PublishOfPayload(fmt.Sprintf("%x", topic), 0, 0, 0)...)
				}
				a.landed.Add(int64(p.Pour(b, a.times(30, 300), attackPatience)))
			},
			least: 1000,
		},
	}
}

// someWild returns a filter for one topic of 13 levels, with wildcards where the bits are.
func someWild(bits int) string {
	f := make([]string, 13)
	for level := range f {
		if f[level] = "a"; bits>>level&1 == 1 {
			f[level] = "+"
		}
	}
	return strings.Join(f, "/")
}
