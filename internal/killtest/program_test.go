package killtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// topics are what the program publishes to.
var topics = []topic{
	{"k/1/async", mqtt.AtLeastOnce, false},
	{"k/1/wait", mqtt.AtLeastOnce, true},
	{"k/2/async", mqtt.ExactlyOnce, false},
	{"k/2/wait", mqtt.ExactlyOnce, true},
}

type topic struct {
	name string
	qos  mqtt.QoS
	wait bool // publish with Publish, not with PublishAsync
}

const (
	// ahead is how many messages of a topic may be on their way.
	ahead = 100
	// keep is how many messages are received before they are acknowledged, in any order.
	keep = 5
)

// message names a message.
type message struct {
	topic  string
	number int
}

// program publishes to its topics and receives what it publishes.
type program struct {
	journal *journal
	client  *mqtt.Client
	last    int // number of the last message of each topic; 0: there is none

	mu      sync.Mutex
	next    map[string]int   // the number to be published next
	arrived map[string]int   // the largest that was received
	missing map[message]bool // accepted, and neither received nor reported
	waiting chan struct{}    // closed with the next change
}

// runProgram is the program. Its arguments are the log, the store, the URL of the server,
// the version of MQTT, a seed, and the number of messages of each topic after which it
// ends by itself. If that is 0, it waits to be killed.
func runProgram(args []string) error {
	version, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(args[4], 10, 64)
	if err != nil {
		return err
	}
	p := &program{waiting: make(chan struct{})}
	if p.last, err = strconv.Atoi(args[5]); err != nil {
		return err
	}
	if err := p.recall(args[0]); err != nil {
		return err
	}
	file, err := bolt.Open(args[1], bolt.Config{})
	if err != nil {
		return err
	}
	if err := p.start(args[2], mqtt.Version(version), file); err != nil {
		return err
	}
	if err := p.run(rand.New(rand.NewPCG(seed, 0))); err != nil {
		return err
	}
	return file.Close()
}

// recall begins with what earlier processes have logged.
func (p *program) recall(log string) error {
	var err error
	if p.journal, err = openJournal(log); err != nil {
		return err
	}
	p.journal.write(lineStart)
	entries, err := readJournal(log)
	if err != nil {
		return err
	}
	p.next, p.arrived, p.missing = map[string]int{}, map[string]int{}, map[message]bool{}
	done := map[message]bool{}
	for _, e := range entries {
		switch e.what {
		case linePublish:
			p.next[e.topic] = e.number + 1
		case lineAccepted:
			p.missing[e.message] = true
		case lineReceived:
			p.arrived[e.topic] = max(p.arrived[e.topic], e.number)
			done[e.message] = true
		case lineReported:
			done[e.message] = true
		}
	}
	for m := range done {
		delete(p.missing, m)
	}
	return nil
}

func (p *program) start(server string, version mqtt.Version, file *bolt.File) (err error) {
	watching := make(chan struct{})
	p.client, err = mqtt.Start(server, mqtt.Config{
		ClientID: "program", Version: version, Store: file, ReceiveMaximum: 20,
		Reconnect: reconnect.Policy{Min: time.Millisecond, Max: 20 * time.Millisecond},
		Attempt: func(context.Context, *mqtt.Attempt) error {
			<-watching // so that no event is missed
			return nil
		},
		Undelivered: func(u mqtt.Undelivered) {
			number, _ := strconv.Atoi(string(u.Message.Payload))
			p.report(message{u.Message.Topic, number}, u.Err)
		},
	})
	if err != nil {
		return err
	}
	events := p.client.Watch(context.Background())
	close(watching)
	go func() {
		for e := range events {
			if e.Unproven {
				p.journal.write(lineUnproven)
			}
		}
	}()
	return nil
}

// run publishes and receives until all that was to be published has arrived.
func (p *program) run(random *rand.Rand) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	sub, err := p.client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "k/#", QoS: mqtt.ExactlyOnce}}, ManualAck: true,
	})
	if err != nil {
		return err
	}
	finished := errors.New("all has arrived")
	receiving, g := make(chan error, 1), errgroup.Group{}
	go func() { receiving <- p.receive(ctx, sub, random) }()
	for _, t := range topics {
		g.Go(func() error { return p.publish(ctx, t) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := p.client.Flush(ctx); err != nil {
		return err
	}
	if err := p.await(ctx, func() bool { return len(p.missing) == 0 }); err != nil {
		return err
	}
	cancel(finished)
	if err := <-receiving; !errors.Is(err, finished) {
		return err
	}
	return p.client.Disconnect(context.Background())
}

// report says that the server of a session in doubt cannot tell whether it has had m.
func (p *program) report(m message, err error) {
	p.journal.write(lineReported, m.topic, m.number, err)
	p.change(func() { delete(p.missing, m) })
}

func (p *program) publish(ctx context.Context, t topic) error {
	for {
		if err := p.await(ctx, func() bool { return p.next[t.name] <= p.arrived[t.name]+ahead }); err != nil {
			return err
		}
		p.mu.Lock()
		number := p.next[t.name]
		p.next[t.name]++
		p.mu.Unlock()
		p.journal.write(linePublish, t.name, number)
		m := &mqtt.Message{Topic: t.name, QoS: t.qos, Payload: []byte(strconv.Itoa(number))}
		// The message may come back before it is known to be accepted.
		p.change(func() { p.missing[message{t.name, number}] = true })
		switch err := p.publishOne(ctx, t, m); {
		case err == nil:
			p.journal.write(lineAccepted, t.name, number)
		case errors.Is(err, mqtt.PacketIdentifierNotFound):
			p.report(message{t.name, number}, err)
		default:
			return fmt.Errorf("%s %d: %w", t.name, number, err)
		}
		if p.last != 0 && number >= p.last {
			return nil
		}
	}
}

func (p *program) publishOne(ctx context.Context, t topic, m *mqtt.Message) error {
	if t.wait {
		return p.client.PublishMessage(ctx, m)
	}
	_, err := p.client.PublishAsync(ctx, m)
	return err
}

// receive takes messages until ctx ends, and acknowledges them.
func (p *program) receive(ctx context.Context, sub *mqtt.Subscription, random *rand.Rand) error {
	var kept []*mqtt.Message
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return errors.Join(acknowledge(kept), err)
		}
		number, err := strconv.Atoi(string(m.Payload))
		if err != nil {
			return err
		}
		key := m.Key()
		if key == "" {
			key = "-"
		}
		p.journal.write(lineReceived, m.Topic, number, key, m.Duplicate)
		p.change(func() {
			p.arrived[m.Topic] = max(p.arrived[m.Topic], number)
			delete(p.missing, message{m.Topic, number})
		})
		kept = append(kept, m)
		if len(kept) < keep {
			continue
		}
		random.Shuffle(keep, func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
		if err := acknowledge(kept); err != nil {
			return err
		}
		kept = kept[:0]
	}
}

func acknowledge(messages []*mqtt.Message) error {
	for _, m := range messages {
		// ErrStale says that the server has lost the session: the message may come again.
		if err := m.Ack(); err != nil && !errors.Is(err, mqtt.ErrStale) {
			return err
		}
	}
	return nil
}

func (p *program) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.waiting)
	p.waiting = make(chan struct{})
}

// await waits until is returns true. It is called under the lock.
func (p *program) await(ctx context.Context, is func() bool) error {
	for {
		p.mu.Lock()
		ok, waiting := is(), p.waiting
		p.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-waiting:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
