package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store"
)

var (
	upTo100000 = []int{100, 10_000, 100_000}
	background = context.Background()
)

// long says why there is no size of a million.
const long = "a million of them take more than a minute"

var clientKinds = []kind{
	{name: "client/published", title: "messages published", measure: publishMany},
	{name: "client/received", title: "messages received", measure: receiveMany},
	{name: "client/publishers", title: "publishers that wait for an answer", measure: publishersOfClient},
	{name: "client/filters", title: "filters of one Subscription", measure: filtersOfClient},
	{name: "client/subscriptions", ends: upTo100000, title: "Subscriptions", measure: subscriptionsApart, why: long},
	{name: "client/shared-filter", title: "Subscriptions of one filter", measure: subscriptionsTogether},
	{name: "client/consumers", ends: upTo100000, title: "Subscriptions with a goroutine each", measure: consumersOfClient, why: long},
	{name: "client/queued", title: "messages queued without a connection", measure: queuedByClient},
	{name: "client/stored", title: "messages in the Store without a connection", measure: storedByClient},
	{name: "client/unstored", title: "QoS 0 messages beside a Store, without a connection", measure: unstoredByClient},
	{name: "client/unread", title: "messages that no consumer has taken", measure: unreadMessages},
}

// publishMany publishes n messages, of which at most 65,535 are under way.
func publishMany(r *run) error {
	s := newServer()
	defer s.close()
	c, err := s.connect(mqtt.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	m := &mqtt.Message{Topic: "a", Payload: payload, QoS: mqtt.AtLeastOnce}
	r.begin()
	err = r.time("publish", func() error {
		for range r.n {
			if _, err := c.PublishAsync(background, m); err != nil {
				return err
			}
		}
		return c.Flush(background)
	})
	r.memory("a message, when it is over")
	return err
}

func receiveMany(r *run) error {
	s := newServer()
	defer s.close()
	c, err := s.connect(mqtt.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	sub, err := c.SubscribeWith(background, mqtt.SubscribeOptions{Filters: filtersAt(0, 1), Overflow: mqtt.Block})
	if err != nil {
		return err
	}
	r.begin()
	err = r.time("receive", func() error {
		sent := make(chan error, 1)
		go func() {
			sent <- s.send(r.n, always(topicOf(0)), func(int) uint32 { return 1 }, mqtt.AtMostOnce)
		}()
		for range r.n {
			if _, err := sub.Next(background); err != nil {
				return err
			}
		}
		return <-sent
	})
	r.memory("a message, when it is over")
	return err
}

// publishersOfClient has n goroutines in Publish at once.
func publishersOfClient(r *run) error {
	s := newServer()
	s.silent = true
	defer s.close()
	c, err := s.connect(mqtt.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	errs := make(chan error, r.n)
	r.begin()
	err = r.time("begin to publish", func() error {
		for range r.n {
			go func() { errs <- c.Publish(background, "a", payload, mqtt.AtLeastOnce) }()
		}
		return s.await(min(r.n, 65_535))
	})
	if err != nil {
		return err
	}
	r.memory("a publisher")
	return r.time("be answered", func() error {
		if err := s.acknowledge(); err != nil {
			return err
		}
		for range r.n {
			if err := <-errs; err != nil {
				return err
			}
		}
		return nil
	})
}

func filtersAt(from, n int) []mqtt.Filter {
	filters := make([]mqtt.Filter, n)
	for i := range filters {
		filters[i] = mqtt.Filter{Filter: filterOf(from + i), QoS: mqtt.AtMostOnce}
	}
	return filters
}

// filterOf is a filter for the i-th topic; every second has a wildcard.
func filterOf(i int) string {
	if i%2 == 1 {
		return topicOf(i) + "/#"
	}
	return topicOf(i)
}

func filtersOfClient(r *run) error {
	s := newServer()
	defer s.close()
	c, err := s.connect(mqtt.Config{})
	if err != nil {
		return err
	}
	filters := filtersAt(0, r.n)
	r.begin()
	var sub *mqtt.Subscription
	return inOrder(
		func() error {
			return r.time("subscribe", func() (err error) {
				sub, err = c.SubscribeWith(background, mqtt.SubscribeOptions{Filters: filters})
				return err
			})
		},
		func() error { r.memory("a filter"); return nil },
		func() error {
			return r.timeOf(r.some(), "receive a message", func() error {
				return r.each(func(i int) error { return s.pass(sub, topicOf(i), 1) })
			})
		},
		func() error { return r.time("subscribe again", func() error { return again(c) }) },
		func() error { return r.time("unsubscribe", func() error { return sub.Unsubscribe(background) }) },
		c.Close,
	)
}

// pass sends a message and takes it.
func (s *server) pass(sub *mqtt.Subscription, topic string, id uint32) error {
	err := s.send(1, always(topic), func(int) uint32 { return id }, mqtt.AtMostOnce)
	if err != nil {
		return err
	}
	_, err = sub.Next(background)
	return err
}

// again connects again and waits until the client has subscribed again: UNSUBSCRIBE goes
// behind all of that.
func again(c *mqtt.Client) error {
	if err := c.Reconnect(background); err != nil {
		return err
	}
	return c.Unsubscribe(background, "nothing")
}

func subscriptionsApart(r *run) error    { return subscriptions(r, filterOf) }
func subscriptionsTogether(r *run) error { return subscriptions(r, always("a")) }

func subscriptions(r *run, filter func(i int) string) error {
	together := filter(0) == filter(1)
	s := newServer()
	defer s.close()
	c, err := s.connect(mqtt.Config{})
	if err != nil {
		return err
	}
	subs := make([]*mqtt.Subscription, r.n)
	r.begin()
	return inOrder(
		func() error {
			return r.time("subscribe", func() error {
				return sideBySide(r.n, func(i int) (err error) {
					subs[i], err = c.Subscribe(background, filter(i), mqtt.AtMostOnce)
					return err
				})
			})
		},
		func() error { r.memory("a Subscription"); return nil },
		func() error {
			if together {
				return r.time("receive a copy", func() error { return s.passAll(subs) })
			}
			return r.timeOf(r.some(), "receive a message", func() error {
				return r.each(func(i int) error { return s.pass(subs[i], topicOf(i), 0) })
			})
		},
		func() error { return r.time("subscribe again", func() error { return again(c) }) },
		func() error {
			return r.time("unsubscribe", func() error {
				return sideBySide(r.n/2, func(i int) error { return subs[2*i].Unsubscribe(background) })
			})
		},
		func() error { return r.timeOf(r.n-r.n/2, "Close", c.Close) },
	)
}

// passAll sends a message that all take.
func (s *server) passAll(subs []*mqtt.Subscription) error {
	err := s.send(1, always("a"), func(int) uint32 { return 0 }, mqtt.AtMostOnce)
	for _, sub := range subs {
		if err != nil {
			return err
		}
		_, err = sub.Next(background)
	}
	return err
}

// sideBySide calls f for 0 to n-1, of which 64 at once.
func sideBySide(n int, f func(i int) error) error {
	const most = 64
	errs := make([]error, most)
	var wg sync.WaitGroup
	for w := range most {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += most {
				errs[w] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// consumersOfClient has a goroutine for each Subscription, which handles one message.
func consumersOfClient(r *run) error {
	s := newServer()
	defer s.close()
	c, err := s.connect(mqtt.Config{})
	if err != nil {
		return err
	}
	ready, handled := make(chan struct{}, r.n), make(chan struct{}, r.n)
	ended := make(chan error, r.n)
	r.begin()
	return inOrder(
		func() error {
			return r.time("begin to handle", func() error {
				for i := range r.n {
					o := mqtt.SubscribeOptions{Filters: filtersAt(i, 1), Subscribed: func(*mqtt.Subscription) { ready <- struct{}{} }}
					go func() {
						ended <- c.Handle(background, o, func(context.Context, *mqtt.Message) error {
							handled <- struct{}{}
							return nil
						})
					}()
				}
				for range r.n {
					<-ready
				}
				return nil
			})
		},
		func() error { r.memory("a consumer"); return nil },
		func() error {
			return r.time("handle a message", func() error {
				err := s.send(r.n, topicOf, func(int) uint32 { return 0 }, mqtt.AtMostOnce)
				for range r.n {
					<-handled
				}
				return err
			})
		},
		func() error {
			return r.time("Disconnect", func() error {
				err := c.Disconnect(background)
				for range r.n {
					<-ended
				}
				return err
			})
		},
	)
}

func queuedByClient(r *run) error   { return queue(r, nil, mqtt.AtLeastOnce) }
func storedByClient(r *run) error   { return queue(r, store.Memory(), mqtt.AtLeastOnce) }
func unstoredByClient(r *run) error { return queue(r, store.Memory(), mqtt.AtMostOnce) }

// queue publishes n messages without a connection. What is in a Store is sent by a second
// client.
func queue(r *run, kept store.Store, qos mqtt.QoS) error {
	stored := kept != nil && qos > mqtt.AtMostOnce
	s := newServer()
	defer s.close()
	cfg := s.config(mqtt.Config{ClientID: "a", QueueMessages: r.n, QueueBytes: 1 << 40, Store: kept})
	cfg.Reconnect.Min, cfg.Reconnect.Max = time.Millisecond, time.Millisecond
	start := make(chan struct{})
	dial := cfg.Dial
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case <-start:
			return dial(ctx, network, address)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c, err := mqtt.Start("mqtt://memory", cfg)
	if err != nil {
		return err
	}
	defer func() { c.Close() }()
	m := &mqtt.Message{Topic: "a", Payload: payload, QoS: qos}
	r.begin()
	err = r.time("publish", func() error {
		if stored { // publishers share a Commit
			return sideBySide(r.n, func(int) error {
				_, err := c.PublishAsync(background, m)
				return err
			})
		}
		for range r.n {
			if _, err := c.PublishAsync(background, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.memory("a message")
	if stored {
		c.Close()
		err := r.time("start again", func() (err error) {
			c, err = mqtt.Start("mqtt://memory", cfg)
			return err
		})
		if err != nil {
			return err
		}
	}
	go s.serve()
	return r.time("send", func() error {
		close(start)
		if err := s.await(r.n); err != nil {
			return err
		}
		return c.Flush(background)
	})
}

// unreadMessages come at QoS 0 and wait in the buffer of their Subscription.
func unreadMessages(r *run) error {
	s := newServer()
	defer s.close()
	c, err := s.connect(mqtt.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	o := mqtt.SubscribeOptions{Filters: filtersAt(0, 1), BufferMessages: r.n + 1, BufferBytes: 1 << 40}
	sub, err := c.SubscribeWith(background, o)
	if err != nil {
		return err
	}
	end, err := c.Subscribe(background, "end", mqtt.AtMostOnce)
	if err != nil {
		return err
	}
	r.begin()
	err = r.time("receive", func() error {
		if err := s.send(r.n, always(topicOf(0)), func(int) uint32 { return 1 }, mqtt.AtMostOnce); err != nil {
			return err
		}
		return s.pass(end, "end", 2)
	})
	if err != nil {
		return err
	}
	r.memory("a message")
	return r.time("take", func() error {
		for range r.n {
			if _, err := sub.Next(background); err != nil {
				return err
			}
		}
		if sub.Dropped() > 0 {
			return fmt.Errorf("%d messages were dropped", sub.Dropped())
		}
		return nil
	})
}
