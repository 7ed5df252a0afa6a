package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
)

// runner is one run, from the first connection to the last.
type runner struct {
	server string
	client mqtt.Config
	load   *load

	connects    *recorder
	connected   atomic.Int64
	publishers  []*publisher
	subscribers []*subscriber
	receivers   []*receiver
	intervals   *intervals

	mu      sync.Mutex
	clients []*mqtt.Client // guarded by mu: connected, and not closed yet

	begun    atomic.Bool // the load has begun: load.start is set
	draining atomic.Bool // nothing is published any more

	usage   [2]usage      // at the beginning and the end of the measured time
	stopped time.Duration // when the last publisher ended
	lost    uint64        // connections
	dropped uint64        // messages that subscriptions had no space for
	info    mqtt.ServerInfo
}

func newRunner(server string, client mqtt.Config, s Settings) *runner {
	number := rand.Uint32()
	l := &load{
		Settings: s,
		inflight: client.Inflight,
		run:      "b" + strings.ToLower(strconv.FormatUint(uint64(number), 36)),
		number:   number,

		latency: newRecorder(), acknowledged: newRecorder(), behind: newRecorder(), generator: newRecorder(),
	}
	for k := range s.streams() {
		topic := k % s.Topics
		l.streams = append(l.streams, &stream{id: uint32(k), topic: topic, name: l.topic(l.run, topic)})
	}
	r := &runner{
		server: server, client: client, load: l,
		connects:    newRecorder(),
		publishers:  make([]*publisher, s.Publishers),
		subscribers: make([]*subscriber, s.Subscribers),
	}
	for g := range s.groups() {
		r.receivers = append(r.receivers, l.newReceiver(g))
	}
	r.intervals = &intervals{load: l, sent: r.measured, latency: newHistogram()}
	return r
}

// errInterrupted says that a run ended before there was anything to measure.
var errInterrupted = errors.New("interrupted before the load began")

// execute connects, loads, and waits for what is under way. When ctx ends, it stops
// publishing and goes on from there. An error means that there is no result.
func (r *runner) execute(ctx context.Context) error {
	defer r.disconnect()
	if err := r.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.Join(errInterrupted, context.Cause(ctx))
		}
		return err
	}
	r.info = r.publishers[0].client.ServerInfo()
	if err := r.load.possible(&r.info); err != nil {
		return err
	}

	receiving, stopReceiving := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReceiving()
	var consumers errgroup.Group
	for _, s := range r.subscribers {
		consumers.Go(func() error {
			err := s.receive(receiving)
			if err != nil {
				r.load.failures.add("subscription", err)
			}
			return nil
		})
	}

	r.load.start = time.Now()
	r.begun.Store(true)
	stopClock := r.keepTime()
	err := r.publish(ctx)
	r.drain()
	stopClock()
	stopReceiving()
	_ = consumers.Wait() // a message is counted before its latency is recorded
	r.intervals.cut(r.load.now(), true)
	r.count()
	return err
}

// prepare makes all connections and subscriptions, the subscriptions first.
func (r *runner) prepare(ctx context.Context) error {
	err := r.connectAll(ctx, ofSubscriber, r.load.Subscribers, func(ctx context.Context, i int, c *mqtt.Client) error {
		s := &subscriber{load: r.load, index: i, client: c, receiver: r.receivers[r.load.group(i)]}
		r.subscribers[i] = s
		if err := s.subscribe(ctx); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.connectAll(ctx, ofPublisher, r.load.Publishers, func(_ context.Context, i int, c *mqtt.Client) error {
		r.publishers[i] = r.load.newPublisher(i, c)
		return nil
	})
}

// publish returns when all publishers have sent what they should, or have been stopped,
// and all acknowledgements have come or are given up.
func (r *runner) publish(ctx context.Context) error {
	l := r.load
	sending, stop := context.WithCancel(ctx)
	defer stop()
	if end := l.end(); end > 0 {
		if l.Rate > 0 {
			end += l.Drain // to catch up
		}
		timer := time.AfterFunc(end-l.now(), stop)
		defer timer.Stop()
	}
	// What is sent gets its time for an answer, however the sending ends.
	waiting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()

	var senders, answers errgroup.Group
	for _, p := range r.publishers {
		senders.Go(func() error { return p.publish(sending) })
		if p.pending != nil {
			answers.Go(func() error {
				p.await(waiting)
				return nil
			})
		}
	}
	// A publisher in a closed loop waits for answers, too: when sending ends early,
	// nobody may wait longer than Drain.
	limit := context.AfterFunc(sending, func() { time.AfterFunc(l.Drain, giveUp) })
	defer limit()
	err := senders.Wait()
	r.stopped = l.now()
	r.draining.Store(true)
	stop()
	_ = answers.Wait()
	return err
}

// drain waits until every receiver has what it should get, and as long as Drain after the
// last message that came. It counts ticks and not the time, so that a process that was
// stopped for a while does not give up what has come meanwhile.
func (r *runner) drain() {
	if len(r.receivers) == 0 {
		return
	}
	expected := r.expected()
	const step = 10 * time.Millisecond
	idle, seen := time.Duration(0), uint64(0)
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		got := r.distinct()
		if got >= expected {
			return
		}
		if got != seen {
			idle, seen = 0, got
		}
		if idle >= r.load.Drain {
			return
		}
		<-tick.C
		idle += step
	}
}

// keepTime cuts the intervals until the returned function is called.
func (r *runner) keepTime() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if r.load.Warmup > 0 {
			select {
			case <-time.After(r.load.Warmup - r.load.now()):
			case <-done:
			}
		}
		r.usage[0] = r.load.usage()
		step, steps := r.load.length()
		tick := time.NewTicker(step)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-tick.C:
				r.intervals.cut(r.load.now(), n%steps == 0)
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		r.usage[1] = r.load.usage()
	}
}

// count takes what the clients know before they are closed.
func (r *runner) count() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		r.lost += c.Stats().Lost
	}
	for _, s := range r.subscribers {
		r.dropped += s.sub.Dropped()
	}
	r.connects.turn()
}

// expected is how many messages the receivers should get together.
func (r *runner) expected() (n uint64) {
	for _, s := range r.load.streams {
		n += s.accepted() * uint64(r.load.copies(s.topic))
	}
	return n
}

func (r *runner) distinct() (n uint64) {
	for _, v := range r.receivers {
		n += v.distinct.Load()
	}
	return n
}

func (r *runner) measured() (n uint64) {
	for _, p := range r.publishers {
		n += p.measured.Load()
	}
	return n
}
