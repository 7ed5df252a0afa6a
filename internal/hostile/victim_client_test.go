package hostile

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/reconnect"
)

// ClientSetup says what client to attack.
type ClientSetup struct {
	Servers           []string // URLs, the first for Connect
	Version           mqtt.Version
	Resume            bool
	ReceiveMaximum    uint16
	MaximumPacketSize uint32
	TopicAliasMaximum uint16
	QueueBytes        int
	Endless           bool // an Authenticator that answers whatever it is asked
	Method            string
	Once              time.Duration // how long Connect may take; zero means the patience
	Flapping          bool          // reconnects at once
	Patient           bool          // reconnects after an hour, unless something has no pause

	Filter      string // none if empty
	QoS         mqtt.QoS
	BufferBytes int
	Taking      bool // a consumer takes what comes; otherwise it is stuck
	Manual      bool // what it takes is never acknowledged
	Responding  bool // Respond in place of a Subscription
}

// ClientReport are the client's own figures.
type ClientReport struct {
	Stats mqtt.Stats
	State string
	Err   string
	Taken int64
	// Logged is the size of the longest line of the log, and Warnings how many lines it has
	// that warn.
	Logged, Warnings int
}

// gauge is a log of which only figures are kept.
type gauge struct {
	mu                sync.Mutex
	longest, warnings int
}

func (g *gauge) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.longest = max(g.longest, len(line))
	if bytes.Contains(line, []byte("level=WARN")) {
		g.warnings++
	}
	return len(line), nil
}

// Result is what became of calls.
type Result struct {
	Returned int // calls that came back
	OK       int // of them, without an error
	Longest  time.Duration
	Err      string // the last

	times []time.Duration // of the parent
}

// merge adds the figures of one more call.
func (r *Result) merge(more Result) {
	r.Returned += more.Returned
	r.OK += more.OK
	r.Longest = max(r.Longest, more.Longest)
	if more.Err != "" {
		r.Err = more.Err
	}
	if more.Returned > 0 {
		r.times = append(r.times, more.Longest)
	}
}

func (r *Result) add(began time.Time, err error) {
	r.Returned++
	r.Longest = max(r.Longest, time.Since(began))
	if err == nil {
		r.OK++
	} else {
		r.Err = err.Error()
	}
}

type clientVictim struct {
	*mqtt.Client
	beside    *mqtt.Client
	log       gauge
	taken     atomic.Int64
	consuming sync.WaitGroup
}

func (c *clientVictim) report() *ClientReport {
	c.log.mu.Lock()
	r := &ClientReport{Taken: c.taken.Load(), Logged: c.log.longest, Warnings: c.log.warnings}
	c.log.mu.Unlock()
	if c.Client != nil {
		r.Stats, r.State = c.Stats(), c.State().String()
		if err := c.Err(); err != nil {
			r.Err = err.Error()
		}
	}
	return r
}

// StartBeside connects the client of the same process that is not attacked.
func (v *Victim) StartBeside(server string, _ *struct{}) (err error) {
	v.client = new(clientVictim)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v.client.beside, err = mqtt.Connect(ctx, server, mqtt.Config{ClientID: "beside"})
	return err
}

// StartClient connects the client that is attacked, and its consumer. The result has no
// errors but its own.
func (v *Victim) StartClient(setup ClientSetup, reply *Result) error {
	began := time.Now()
	limit := setup.Once
	if limit == 0 {
		limit = patience
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cfg := setup.config()
	cfg.Logger = slog.New(slog.NewTextHandler(&v.client.log, nil))
	client, err := mqtt.Connect(ctx, setup.Servers[0], cfg)
	if err != nil {
		reply.add(began, err)
		return nil
	}
	v.client.Client = client
	reply.add(began, v.client.consume(ctx, &setup))
	return nil
}

func (s *ClientSetup) config() mqtt.Config {
	cfg := mqtt.Config{
		ClientID: "victim", Version: s.Version, Resume: s.Resume, Servers: s.Servers[1:],
		ReceiveMaximum: s.ReceiveMaximum, MaximumPacketSize: s.MaximumPacketSize,
		TopicAliasMaximum: s.TopicAliasMaximum, QueueBytes: s.QueueBytes,
	}
	if strings.HasPrefix(s.Servers[0], "mqtts:") || strings.HasPrefix(s.Servers[0], "wss:") {
		cfg.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	if s.Endless {
		cfg.Authenticator = obliging{}
	}
	switch {
	case s.Flapping:
		cfg.Reconnect = reconnect.Policy{Min: time.Millisecond, Max: time.Millisecond}
	case s.Patient:
		cfg.Reconnect = reconnect.Policy{Min: 24 * time.Hour}
	}
	return cfg
}

func (c *clientVictim) consume(ctx context.Context, setup *ClientSetup) error {
	switch {
	case setup.Filter == "":
		return nil
	case setup.Responding:
		c.consuming.Go(func() {
			_ = c.Respond(context.Background(), setup.Filter, func(context.Context, *mqtt.Message) (*mqtt.Message, error) {
				c.taken.Add(1)
				return &mqtt.Message{Payload: []byte("answer")}, nil
			})
		})
		return nil
	}
	sub, err := c.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters:     []mqtt.Filter{{Filter: setup.Filter, QoS: setup.QoS}},
		BufferBytes: setup.BufferBytes, ManualAck: setup.Manual,
	})
	if err != nil || !setup.Taking {
		return err
	}
	c.consuming.Go(func() {
		for {
			if _, err := sub.Next(context.Background()); err != nil {
				return
			}
			c.taken.Add(1)
		}
	})
	return nil
}

// Beside publishes n times on the client that is not attacked.
func (v *Victim) Beside(n int, reply *Result) error {
	for range n {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		began := time.Now()
		reply.add(began, v.client.beside.Publish(ctx, "beside", []byte("x"), mqtt.AtLeastOnce))
		cancel()
	}
	return nil
}

// Calls makes n calls on the client that is attacked, which have to come back, each
// within its context.
func (v *Victim) Calls(n int, reply *Result) error {
	for range n {
		if v.client.Client == nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		began := time.Now()
		_ = v.client.Stats()
		_ = v.client.State()
		err := v.client.Publish(ctx, "calls", []byte("x"), mqtt.AtLeastOnce)
		cancel()
		reply.add(began, err)
	}
	return nil
}

// Pour publishes n messages of size bytes without waiting for any, until there is no
// room for one in a second.
func (v *Victim) Pour(argument struct{ N, Size int }, reply *Result) error {
	for range argument.N {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		began := time.Now()
		m := &mqtt.Message{Topic: "pour", Payload: bytes.Repeat([]byte{1}, argument.Size), QoS: mqtt.AtLeastOnce}
		_, err := v.client.PublishAsync(ctx, m)
		cancel()
		if reply.add(began, err); err != nil {
			break
		}
	}
	return nil
}

// errStuck says that Close did not come back.
var errStuck = errors.New("close did not return")

// Close ends the client that is attacked, and its consumer.
func (v *Victim) Close(_ struct{}, reply *Result) error {
	if v.client.Client == nil {
		return nil
	}
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- v.client.Client.Close(); v.client.consuming.Wait(); close(done) }()
	for range 2 {
		select {
		case err := <-done:
			if errors.Is(err, mqtt.ErrClosed) {
				err = nil
			}
			reply.add(began, err)
		case <-time.After(patience):
			reply.add(began, errStuck)
			return nil
		}
	}
	return nil
}

// obliging answers every challenge.
type obliging struct{}

func (obliging) Method() string { return "endless" }

func (obliging) Start(context.Context) (mqtt.AuthExchange, []byte, error) {
	return obliging{}, []byte("begin"), nil
}

func (obliging) Continue(_ context.Context, challenge []byte) ([]byte, error) { return challenge, nil }
func (obliging) Finish(context.Context, []byte) error                         { return nil }
