package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// idle measures what sessions cost that do nothing: with a connection, as far as
// the limit of open files goes, and without.
func idle(ctx context.Context, s *settings, srv *server) (figures, error) {
	before, err := srv.resident()
	if err != nil {
		return nil, err
	}
	f := figures{}
	per := func(name string, sessions int) error {
		now, err := srv.resident()
		f[name] = (now - before) / float64(sessions)
		return err
	}
	start := time.Now()
	clients, err := open(ctx, s, srv, 0, s.connected)
	defer closeAll(clients)
	if err != nil {
		return nil, err
	}
	f["idle: connected and subscribed per second"] = float64(s.connected) / time.Since(start).Seconds()
	if err := per("idle: bytes per connected session", s.connected); err != nil {
		return nil, err
	}
	if err := srv.giveBack(); err != nil {
		return nil, err
	}
	if err := per("idle: bytes per connected session, unused memory returned", s.connected); err != nil {
		return nil, err
	}
	if err := leaveAll(ctx, s, clients); err != nil {
		return nil, err
	}
	// The others in waves.
	for first := s.connected; first < s.sessions; first += s.connected {
		wave, err := open(ctx, s, srv, first, min(s.connected, s.sessions-first))
		if err == nil {
			err = leaveAll(ctx, s, wave)
		}
		closeAll(wave)
		if err != nil {
			return nil, err
		}
	}
	if err := srv.giveBack(); err != nil {
		return nil, err
	}
	return f, per("idle: bytes per absent session, unused memory returned", s.sessions)
}

// open connects n clients with lasting sessions, numbered from first, each with a
// filter of its own.
func open(ctx context.Context, s *settings, srv *server, first, n int) ([]*client, error) {
	clients := make([]*client, n)
	err := all(ctx, n, s.clients, func(ctx context.Context, i int) (err error) {
		clients[i], err = connect(ctx, srv.addr, first+i, false, fmt.Sprintf("load/%07d/#", first+i))
		return err
	})
	return clients, err
}

func leaveAll(ctx context.Context, s *settings, clients []*client) error {
	return all(ctx, len(clients), s.clients, func(_ context.Context, i int) error {
		if err := clients[i].SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		return clients[i].leave()
	})
}

// fanOut measures messages that go to many subscribers of one filter.
func fanOut(ctx context.Context, s *settings, srv *server) (figures, error) {
	clients := make([]*client, s.subscribers)
	defer closeAll(clients)
	err := all(ctx, s.subscribers, s.clients, func(ctx context.Context, i int) (err error) {
		clients[i], err = connect(ctx, srv.addr, i, true, "load/all")
		return err
	})
	if err != nil {
		return nil, err
	}
	publisher, err := connect(ctx, srv.addr, s.subscribers, true, "")
	if err != nil {
		return nil, err
	}
	defer publisher.Close()
	packet, err := (&wire.Publish{Topic: "load/all", Payload: make([]byte, s.payload)}).Append(nil, version)
	if err != nil {
		return nil, err
	}
	a := &audience{packet: len(packet), changed: make(chan struct{}, 1)}
	a.listen(clients)
	defer a.wait()
	defer closeAll(clients) // before it is waited for

	before, err := srv.cpu()
	if err != nil {
		return nil, err
	}
	var single []float64
	for range s.messages {
		took, err := a.perform(ctx, publisher, packet, 1, s.subscribers)
		if err != nil {
			return nil, err
		}
		single = append(single, took.Seconds()*1000)
	}
	took, err := a.perform(ctx, publisher, packet, s.messages, s.subscribers)
	if err != nil {
		return nil, err
	}
	after, err := srv.cpu()
	if err != nil {
		return nil, err
	}
	deliveries := float64(s.messages) * float64(s.subscribers)
	return figures{
		"fan-out: ms until the last subscriber has one message": median(single),
		"fan-out: deliveries per second, many messages":         deliveries / took.Seconds(),
		"fan-out: µs of processor time per delivery":            float64((after - before).Microseconds()) / (2 * deliveries),
	}, nil
}

// audience counts what subscribers get.
type audience struct {
	packet  int // bytes of one
	bytes   atomic.Int64
	changed chan struct{} // has room for one
	readers sync.WaitGroup
}

func (a *audience) listen(clients []*client) {
	for _, c := range clients {
		a.readers.Go(func() {
			buf := make([]byte, 4096)
			for {
				n, err := c.Read(buf)
				a.bytes.Add(int64(n))
				select {
				case a.changed <- struct{}{}:
				default:
				}
				if err != nil {
					return
				}
			}
		})
	}
}

func (a *audience) wait() { a.readers.Wait() }

// perform publishes a packet so often and returns how long it takes until every
// subscriber has had all.
func (a *audience) perform(ctx context.Context, publisher io.Writer, packet []byte, times, subscribers int) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("messages were lost"))
	defer cancel()
	want := a.bytes.Load() + int64(a.packet)*int64(times)*int64(subscribers)
	burst := []byte(strings.Repeat(string(packet), times))
	start := time.Now()
	if _, err := publisher.Write(burst); err != nil {
		return 0, err
	}
	for a.bytes.Load() < want {
		select {
		case <-a.changed:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %d bytes are missing", context.Cause(ctx), want-a.bytes.Load())
		}
	}
	return time.Since(start), nil
}

// churn measures connections that are made, subscribe, and are dropped.
func churn(ctx context.Context, s *settings, srv *server) (figures, error) {
	before, err := srv.cpu()
	if err != nil {
		return nil, err
	}
	memory, err := srv.resident()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var took []float64
	start := time.Now()
	err = all(ctx, s.churn, s.clients, func(ctx context.Context, i int) error {
		begun := time.Now()
		c, err := connect(ctx, srv.addr, i, true, "load/#")
		if err != nil {
			return err
		}
		if err := c.leave(); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(begun).Seconds()*1000)
		return nil
	})
	if err != nil {
		return nil, err
	}
	total := time.Since(start)
	after, err := srv.cpu()
	if err != nil {
		return nil, err
	}
	if err := srv.giveBack(); err != nil {
		return nil, err
	}
	left, err := srv.resident()
	slices.Sort(took)
	return figures{
		"churn: connections per second":                       float64(s.churn) / total.Seconds(),
		"churn: ms from dialling to the end, 99th of 100":     took[len(took)*99/100],
		"churn: µs of processor time per connection":          float64((after - before).Microseconds()) / float64(s.churn),
		"churn: KiB more than before, unused memory returned": (left - memory) / 1024,
	}, err
}
