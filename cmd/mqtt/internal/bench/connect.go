package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed65a45251/mqtt"
)

// inflight is how many messages of a client may be sent without an acknowledgement
// unless its configuration says something else.
const inflight = 1024

// connecting is how many connections may be under way at once.
const connecting = 64

// connectAll makes n connections, at most Ramp a second, and calls each with them, perhaps
// at the same time. times gets how long each took.
func (r *runner) connectAll(ctx context.Context, kind string, n int, each func(ctx context.Context, i int, c *mqtt.Client) error) error {
	whole := ctx
	group, ctx := errgroup.WithContext(whole)
	group.SetLimit(connecting)
	begin := time.Now()
	for i := range n {
		if r.load.Ramp > 0 {
			wait(ctx, begin, time.Duration(float64(i)/r.load.Ramp*float64(time.Second)))
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			id := fmt.Sprintf("%s-%s%d", r.load.run, kind, i)
			start := time.Now()
			c, err := mqtt.Connect(ctx, r.server, r.config(id))
			if err != nil {
				return fmt.Errorf("connection %d of %d %s: %w", i+1, n, names[kind], err)
			}
			r.connects.record(i, time.Since(start))
			r.connected.Add(1)
			r.keep(c)
			return each(ctx, i, c)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(whole) // the loop may have ended early
}

// The kinds of clients, as they are in client identifiers.
const (
	ofPublisher  = "p"
	ofSubscriber = "s"
)

var names = map[string]string{ofPublisher: "publishers", ofSubscriber: "subscribers"}

// config is that of one client.
func (r *runner) config(clientID string) mqtt.Config {
	cfg := r.client
	cfg.ClientID = clientID
	cfg.Will, cfg.Store, cfg.Resume, cfg.Undelivered = nil, nil, false, nil
	cfg.QueueMessages = r.load.waiting()
	cfg.QueueBytes = max(64<<20, 2*r.load.Size)
	return cfg
}

// keep remembers a client to be closed at the end.
func (r *runner) keep(c *mqtt.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients = append(r.clients, c)
}

// disconnect ends all clients.
func (r *runner) disconnect() {
	r.mu.Lock()
	clients := r.clients
	r.clients = nil
	r.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(connecting)
	for _, c := range clients {
		group.Go(c.Close)
	}
	_ = group.Wait() // the connections end either way
}

// wait returns at the time that begin and d name, or when ctx ends.
func wait(ctx context.Context, begin time.Time, d time.Duration) {
	timer := time.NewTimer(d - time.Since(begin))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
