package main

import (
	"errors"
	"net"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/store"
)

var brokerKinds = []kind{
	{name: "broker/sessions", ends: upTo100000, title: "sessions of absent clients", measure: sessionsOfBroker, why: long},
	{name: "broker/filters", title: "filters of one session", measure: filtersOfSession},
	{name: "broker/subscribers", ends: upTo100000, title: "sessions with a filter each", measure: subscribersApart, why: long},
	{name: "broker/one-filter", ends: upTo100000, title: "sessions of one filter", measure: subscribersTogether, why: long},
	{name: "broker/group", ends: upTo100000, title: "absent members of a shared subscription", measure: membersOfGroup, why: long},
	{name: "broker/retained", title: "retained messages", measure: retainedByBroker},
	{name: "broker/queued", title: "messages for an absent session", measure: queuedByBroker},
	{name: "broker/connections", title: "connections in memory", ends: upTo100000, measure: connectionsInMemory,
		why: "there is no more to be learnt from more of them; both ends are in the process and count"},
	{name: "broker/sockets", title: "connections by sockets", ends: []int{100, 10_000}, measure: connectionsBySockets,
		why: "28,000 ports lead from one address to another; the clients are in a process of their own"},
	{name: "broker/stored", ends: upTo100000, title: "sessions in the Store", measure: sessionsInStore, why: long},
}

// newBroker returns a broker whose limits are out of the way.
func newBroker(s store.Store) (*broker.Broker, error) {
	const any = 1 << 30
	return broker.Open(broker.Config{
		Memory: 1 << 40, Connections: any, Sessions: any, SubscriptionsPerClient: any, QueuedMessages: any, QueuedBytes: 1 << 40,
		RetainedMessages: any, RetainedBytes: 1 << 40, StatusInterval: -1, Store: s,
	})
}

const hour = 3600

// absent makes n sessions with the filters that subscribe asks for.
func absent(b *broker.Broker, n int, subscribe func(p *peer, i int) error) error {
	return sideBySide(n, func(i int) error {
		p, err := dial(b, topicOf(i), hour, true)
		if err != nil {
			return err
		}
		if err := subscribe(p, i); err != nil {
			return err
		}
		return p.leave()
	})
}

// always names all alike.
func always(name string) func(int) string { return func(int) string { return name } }

// endHalf ends every second of n sessions.
func endHalf(r *run, b *broker.Broker) error {
	return r.timeOf(r.n/2, "end", func() error {
		for i := range r.n / 2 {
			b.Release(topicOf(2 * i))
		}
		return nil
	})
}

func sessionsOfBroker(r *run) error {
	b, err := newBroker(nil)
	if err != nil {
		return err
	}
	defer b.Close()
	r.begin()
	return inOrder(
		func() error {
			return r.time("begin and leave", func() error { return absent(b, r.n, func(*peer, int) error { return nil }) })
		},
		func() error { r.memory("a session"); return nil },
		func() error {
			return r.timeOf(r.some(), "resume", func() error {
				return r.each(func(i int) error {
					p, err := dial(b, topicOf(i), hour, false)
					if err != nil {
						return err
					}
					return p.leave()
				})
			})
		},
		func() error { return endHalf(r, b) },
		func() error { return r.timeOf(r.n-r.n/2, "Close", b.Close) },
	)
}

func filtersOfSession(r *run) error {
	b, err := newBroker(nil)
	if err != nil {
		return err
	}
	defer b.Close()
	p, err := dial(b, "a", 0, true)
	if err != nil {
		return err
	}
	from, err := dial(b, "publisher", 0, true)
	if err != nil {
		return err
	}
	r.begin()
	return inOrder(
		func() error { return r.time("subscribe", func() error { return p.subscribe(r.n, topicOf, 0) }) },
		func() error { r.memory("a filter"); return nil },
		func() error {
			return r.timeOf(r.some(), "pass on a message", func() error {
				return r.each(func(i int) error {
					if err := from.publish(1, always(topicOf(i)), payload, false); err != nil {
						return err
					}
					return p.receive(1)
				})
			})
		},
		func() error {
			return r.timeOf(r.n/2, "unsubscribe", func() error { return p.unsubscribe(r.n/2, topicOf) })
		},
		func() error { return r.timeOf(r.n-r.n/2, "end the session", p.leave) },
	)
}

func subscribersApart(r *run) error { return subscribers(r, filterOf) }

func subscribersTogether(r *run) error { return subscribers(r, always("a")) }

// subscribers has n sessions of absent clients with a filter each.
func subscribers(r *run, filter func(i int) string) error {
	together := filter(0) == filter(1)
	b, err := newBroker(nil)
	if err != nil {
		return err
	}
	defer b.Close()
	from, err := dial(b, "publisher", 0, true)
	if err != nil {
		return err
	}
	r.begin()
	subscribe := func(p *peer, i int) error { return p.subscribe(1, always(filter(i)), 1) }
	return inOrder(
		func() error {
			return r.time("subscribe and leave", func() error { return absent(b, r.n, subscribe) })
		},
		func() error { r.memory("a session with its filter"); return nil },
		func() error {
			if !together {
				return r.timeOf(r.some(), "queue a message", func() error {
					return r.each(func(i int) error { return from.publish(1, always(topicOf(i)), payload, false) })
				})
			}
			r.begin()
			err := r.time("queue a copy", func() error { return from.publish(1, always("a"), payload, false) })
			r.memory("a copy")
			return err
		},
		func() error { return endHalf(r, b) },
	)
}

// membersOfGroup has n absent members of a group, and then one that is connected.
func membersOfGroup(r *run) error {
	const filter = "$share/g/a"
	b, err := newBroker(nil)
	if err != nil {
		return err
	}
	defer b.Close()
	from, err := dial(b, "publisher", 0, true)
	if err != nil {
		return err
	}
	publish := func() error {
		return r.timeOf(r.some(), "pass on a message", func() error {
			return r.each(func(int) error { return from.publish(1, always("a"), payload, false) })
		})
	}
	r.begin()
	join := func(p *peer, _ int) error { return p.subscribe(1, always(filter), 1) }
	return inOrder(
		func() error { return r.time("join and leave", func() error { return absent(b, r.n, join) }) },
		func() error { r.memory("a member"); return nil },
		publish,
		func() error {
			p, err := dial(b, "connected", 0, true)
			if err != nil {
				return err
			}
			if err := join(p, 0); err != nil {
				return err
			}
			err = r.timeOf(r.some(), "pass on to the one that is there", func() error {
				return r.each(func(int) error {
					if err := from.publish(1, always("a"), payload, false); err != nil {
						return err
					}
					return p.receive(1)
				})
			})
			if err != nil {
				return err
			}
			return p.leave()
		},
		func() error { return endHalf(r, b) },
	)
}

func retainedByBroker(r *run) error {
	b, err := newBroker(nil)
	if err != nil {
		return err
	}
	defer b.Close()
	p, err := dial(b, "a", 0, true)
	if err != nil {
		return err
	}
	from, err := dial(b, "publisher", 0, true)
	if err != nil {
		return err
	}
	// Not in their order, as sensors come.
	topic := func(i int) string { return "s/" + topicOf(int(uint32(i)*2654435761>>4)) + "/" + topicOf(i) }
	r.begin()
	return inOrder(
		func() error {
			return r.time("publish", func() error { return from.publish(r.n, topic, payload, true) })
		},
		func() error { r.memory("a message"); return nil },
		func() error {
			return r.timeOf(r.some(), "get one of them", func() error {
				return r.each(func(i int) error {
					if err := p.subscribe(1, always(topic(i)), 0); err != nil {
						return err
					}
					return p.receive(1)
				})
			})
		},
		func() error {
			all, err := dial(b, "b", 0, true)
			if err != nil {
				return err
			}
			return r.time("get all, for each", func() error {
				if err := all.subscribe(1, always("#"), 0); err != nil {
					return err
				}
				return all.receive(r.n)
			})
		},
		func() error {
			return r.timeOf(r.n/2, "clear", func() error { return from.publish(r.n/2, topic, nil, true) })
		},
	)
}

func queuedByBroker(r *run) error {
	b, err := newBroker(nil)
	if err != nil {
		return err
	}
	defer b.Close()
	from, err := dial(b, "publisher", 0, true)
	if err != nil {
		return err
	}
	topic := always("a")
	err = absent(b, 1, func(p *peer, _ int) error { return p.subscribe(1, topic, 1) })
	if err != nil {
		return err
	}
	r.begin()
	return inOrder(
		func() error { return r.time("queue", func() error { return from.publish(r.n, topic, payload, false) }) },
		func() error { r.memory("a message"); return nil },
		func() error {
			return r.time("pass on", func() error {
				p, err := dial(b, topicOf(0), hour, false)
				if err != nil {
					return err
				}
				return p.receive(r.n)
			})
		},
	)
}

func connectionsInMemory(r *run) error {
	return connections(r, func(b *broker.Broker) (func(string) error, func() error, error) {
		c := &crowd{peers: make([]*peer, r.n), open: func() (net.Conn, error) { return b.Dial(background) }}
		return c.do, func() error { return nil }, nil
	})
}

func connectionsBySockets(r *run) error {
	if err := raiseOpenFiles(uint64(r.n) + 500); err != nil {
		return err
	}
	return connections(r, func(b *broker.Broker) (func(string) error, func() error, error) {
		addr, err := b.Listen(background, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		c, err := startCrowd(addr.String(), r.n)
		if err != nil {
			return nil, nil, err
		}
		return c.do, c.close, nil
	})
}

// connections has n connections of clients that gather makes. What that returns does a
// step with all of them, and ends them.
func connections(r *run, gather func(*broker.Broker) (do func(step string) error, end func() error, err error)) error {
	b, err := newBroker(nil)
	if err != nil {
		return err
	}
	defer b.Close()
	do, end, err := gather(b)
	if err != nil {
		return err
	}
	r.begin()
	return errors.Join(inOrder(
		func() error { return r.time("connect", func() error { return do("connect") }) },
		func() error { r.memory("a connection"); return nil },
		func() error { return r.time("publish one message each", func() error { return do("publish") }) },
		func() error { return r.timeOf(r.n/2, "disconnect", func() error { return do("disconnect") }) },
		func() error { return r.timeOf(r.n-r.n/2, "Close", b.Close) },
		func() error { return do("hang up") },
	), end())
}

// sessionsInStore has n sessions with a filter and a message each in a Store in memory.
func sessionsInStore(r *run) error {
	kept := store.Memory()
	b, err := newBroker(kept)
	if err != nil {
		return err
	}
	defer func() { b.Close() }()
	from, err := dial(b, "publisher", 0, true)
	if err != nil {
		return err
	}
	subscribe := func(p *peer, i int) error { return p.subscribe(1, func(int) string { return filterOf(i) }, 1) }
	r.begin()
	return inOrder(
		func() error {
			return r.time("subscribe and leave", func() error { return absent(b, r.n, subscribe) })
		},
		func() error {
			return r.time("queue a message", func() error { return from.publish(r.n, topicOf, payload, false) })
		},
		func() error { r.memory("a session, with its records"); return nil },
		func() error { return r.time("Close", b.Close) },
		func() error {
			return r.time("start again", func() (err error) {
				b, err = newBroker(kept)
				return err
			})
		},
		func() error {
			return r.timeOf(r.some(), "resume, with its message", func() error {
				return r.each(func(i int) error {
					p, err := dial(b, topicOf(i), hour, false)
					if err != nil {
						return err
					}
					if err := p.receive(1); err != nil {
						return err
					}
					return p.leave()
				})
			})
		},
	)
}
