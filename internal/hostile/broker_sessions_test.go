package hostile

import (
	"fmt"
	"strings"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

// sessionScenarios are about sessions and their subscriptions.
func sessionScenarios() []brokerScenario {
	plain := func(a *attack) BrokerSetup { return BrokerSetup{Config: small(a, nil)} }
	many := func(a *attack) BrokerSetup {
		return BrokerSetup{Config: small(a, func(c *broker.Config) { c.Sessions = 1000 })}
	}
	return []brokerScenario{
		{
			name: "one user's sessions that last a week", setup: many,
			limit: func(a *attack) int { return a.of(1000, 100_000) * 4 << 10 }, multiple: 1,
			attack: func(a *attack) {
				a.each(a.times(1500, 100_000), 20, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("s", i), SessionExpiryInterval: 604800}, "127.0.0.9")
					if err == nil {
						p.Close()
						a.landed.Add(1)
					}
				})
			},
			least: 100,
		},
		{
			name: "many users' sessions that last a week", setup: many,
			limit: func(a *attack) int { return a.of(1000, 100_000) * 4 << 10 }, multiple: 1,
			attack: func(a *attack) {
				a.each(a.times(1500, 100_000), 20, func(i int) {
					user := fmt.Sprint("attacker", i%10)
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("s", i), SessionExpiryInterval: 604800, Username: &user, Password: []byte(user)}, local(i%50))
					if err == nil {
						p.Close()
						a.landed.Add(1)
					}
				})
			},
			least: 100,
		},
		{
			name: "absent sessions with long names", setup: many,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				long := strings.Repeat("n", 60_000)
				a.each(a.times(900, 20_000), 10, func(i int) {
					p, _, err := a.join(wire.V311, &wire.Connect{ClientID: fmt.Sprint(i, long)}, local(i%50))
					if err != nil {
						return
					}
					_ = p.Send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: fmt.Sprint(i, "/", long)}}})
					_, _ = Await[*wire.Suback](p)
					p.Close()
					a.landed.Add(1)
				})
			},
			least: 1,
		},
		{
			name: "absent sessions with many filters", setup: many,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				a.each(a.times(300, 5000), 10, func(i int) {
					filters := make([]wire.SubscribeFilter, 1000)
					for n := range filters {
						filters[n].Filter = fmt.Sprint("f/", i, "/", n)
					}
					a.subscribeAndGo(i, filters)
				})
			},
			least: 1,
		},
		{
			name: "filters of 128 levels", setup: plain,
			limit: func(a *attack) int { return a.of(1, 4) * 4 << 20 }, multiple: 4,
			attack: func(a *attack) {
				for i := range a.times(1, 4) {
					filters := make([]wire.SubscribeFilter, a.of(1000, 10_000))
					for n := range filters {
						filters[n].Filter = fmt.Sprint(i, ".", n) + strings.Repeat("/a", 127)
					}
					a.subscribeAndStay(i, filters)
				}
			},
			least: 1,
		},
		{
			name: "filters with wildcards on every level", setup: plain,
			limit: func(a *attack) int { return a.of(1, 4) * 4 << 20 }, multiple: 4,
			attack: func(a *attack) {
				var filters []wire.SubscribeFilter
				for bits := range a.times(1000, 8192) {
					filters = append(filters, wire.SubscribeFilter{Filter: someWild(bits)})
				}
				for i := range a.times(3, 10) {
					a.subscribeAndStay(i, filters)
				}
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.10")
				if err != nil {
					return
				}
				b := PublishOfPayload(strings.TrimSuffix(strings.Repeat("a/", 13), "/"), 1, 1, 1)
				a.landed.Add(int64(p.Pour(b, a.times(200, 5000), attackPatience)))
			},
			least: 1000,
		},
		{
			name: "filters that match nothing and are looked at all the same", setup: plain,
			limit: func(a *attack) int { return a.of(1, 4) * 4 << 20 }, multiple: 4,
			attack: func(a *attack) {
				// Every level leads on by name and by wildcard, and the last one to nobody.
				var filters []wire.SubscribeFilter
				for bits := range a.times(1000, 8192) {
					filters = append(filters, wire.SubscribeFilter{Filter: someWild(bits) + "/end"})
				}
				a.subscribeAndStay(0, filters)
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.10")
				if err != nil {
					return
				}
				b := PublishOfPayload(strings.Repeat("a/", 13)+"no", 1, 1, 1)
				a.landed.Add(int64(p.Pour(b, a.times(1000, 20_000), attackPatience)))
			},
			least: 1000,
		},
		{
			name: "all retained messages again and again", setup: plain,
			limit: func(a *attack) int { return a.of(8, 256) << 20 }, multiple: 2,
			attack: func(a *attack) {
				p, _, err := a.join(wire.V5, &wire.Connect{ClientID: "pourer"}, "127.0.0.10")
				if err != nil {
					return
				}
				for n := range a.times(3000, 90_000) {
					p.Pour(retained(PublishOfPayload(fmt.Sprint("r/", n), 0, 0, 100)), 1, attackPatience)
				}
				a.each(4, 4, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("again", i)}, local(i))
					if err != nil {
						return
					}
					go p.Drain()
					for n := range a.times(200, 200) {
						if p.Send(&wire.Subscribe{PacketID: uint16(n + 1), Filters: []wire.SubscribeFilter{{Filter: "#"}}}) != nil {
							return
						}
						a.landed.Add(1)
					}
				})
			},
			least: 10,
		},
		{
			name: "shared groups without number", setup: plain,
			limit: memoryLimit, multiple: 4,
			attack: func(a *attack) {
				for i := range a.times(20, 100) {
					filters := make([]wire.SubscribeFilter, a.of(1000, 10_000))
					for n := range filters {
						filters[n].Filter = fmt.Sprint("$share/", i, ".", n, "/never/x")
					}
					a.subscribeAndStay(i, filters)
				}
			},
			least: 1,
		},
		{
			name: "SUBSCRIBE and UNSUBSCRIBE in turns", setup: plain,
			limit: func(a *attack) int { return a.of(4, 4) << 20 }, multiple: 4,
			attack: func(a *attack) {
				a.each(4, 4, func(i int) {
					p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("t", i)}, local(i))
					if err != nil {
						return
					}
					go p.Drain()
					filters := make([]wire.SubscribeFilter, 1000)
					names := make([]string, len(filters))
					for n := range filters {
						names[n] = fmt.Sprint("$share/g/", n, "/+/#")
						filters[n].Filter = names[n]
					}
					for range a.times(50, 2000) {
						if p.Send(&wire.Subscribe{PacketID: 1, Filters: filters}, &wire.Unsubscribe{PacketID: 2, Filters: names}) != nil {
							return
						}
						a.landed.Add(1)
					}
				})
			},
			least: 10,
		},
	}
}

// subscribeAndStay makes a session and keeps its connection.
func (a *attack) subscribeAndStay(i int, filters []wire.SubscribeFilter) {
	p, _, err := a.join(wire.V5, &wire.Connect{ClientID: fmt.Sprint("sub", i)}, local(i%50))
	if err != nil {
		return
	}
	for len(filters) > 0 {
		n := min(len(filters), 500)
		if p.Send(&wire.Subscribe{PacketID: 1, Filters: filters[:n]}) != nil {
			return
		}
		if _, err := Await[*wire.Suback](p); err != nil {
			return
		}
		filters = filters[n:]
	}
	a.landed.Add(1)
	go p.Drain()
}

// subscribeAndGo makes a session and leaves it.
func (a *attack) subscribeAndGo(i int, filters []wire.SubscribeFilter) {
	p, _, err := a.join(wire.V311, &wire.Connect{ClientID: fmt.Sprint("sub", i)}, local(i%50))
	if err != nil {
		return
	}
	defer p.Close()
	if p.Send(&wire.Subscribe{PacketID: 1, Filters: filters}) != nil {
		return
	}
	if _, err := Await[*wire.Suback](p); err == nil {
		a.landed.Add(1)
	}
}

func brokerScenarios() (all []brokerScenario) {
	all = append(all, doorScenarios()...)
	all = append(all, brokerExtremes()...)
	all = append(all, webSocketScenarios()...)
	all = append(all, memoryScenarios()...)
	all = append(all, queueScenarios()...)
	return append(all, sessionScenarios()...)
}
