package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/reconnect"
)

// carrySettings are the flags of carry.
type carrySettings struct {
	count  int
	atOnce int
	outage time.Duration
	spread time.Duration
	json   string
	plot   string
}

func (s *carrySettings) parse(args []string) error {
	f := flag.NewFlagSet("carry", flag.ContinueOnError)
	f.IntVar(&s.count, "count", 1_000, "clients in this process")
	f.IntVar(&s.atOnce, "clients", 64, "clients that connect at the same time")
	f.DurationVar(&s.outage, "outage", 5*time.Second, "how long the broker is away")
	f.DurationVar(&s.spread, "spread", 3*time.Second, "Reconnect.Min of the second storm")
	f.StringVar(&s.json, "json", "", "write the figures to this file")
	f.StringVar(&s.plot, "plot", "", "draw the storms into this file, as SVG")
	if err := f.Parse(args); err != nil {
		return err
	}
	if s.count < 1 || s.atOnce < 1 || s.outage < 0 || s.spread <= 0 {
		return errors.New("numbers have to be positive")
	}
	return nil
}

// carried is what many clients in one process cost. Bytes and goroutines are those
// of one client, times are in milliseconds.
type carried struct {
	Machine       string
	Clients       int
	Heap          float64
	Stack         float64
	Resident      float64
	Goroutines    float64
	ConnectAll    float64 // from the first call of Connect to the last return
	ConnectMedian float64 // a call of Connect
	ConnectP99    float64
	Storms        []storm
}

// carry measures clients in this process with our broker in another.
func carry(ctx context.Context, args []string) error {
	var s carrySettings
	if err := s.parse(args); err != nil {
		return err
	}
	room, err := raiseFileLimit(s.count)
	if err != nil {
		return err
	}
	if room < s.count {
		return fmt.Errorf("the limit of open files leaves room for %d connections", room)
	}
	r, err := measureCarried(ctx, &s)
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	if s.plot != "" {
		if err := os.WriteFile(s.plot, r.draw(), 0o644); err != nil {
			return err
		}
	}
	return writeJSON(s.json, r)
}

func measureCarried(ctx context.Context, s *carrySettings) (*carried, error) {
	srv, err := startOurs(anyPort)
	if err != nil {
		return nil, err
	}
	defer func() { srv.stop() }() // the last one
	r := &carried{Machine: machine(), Clients: s.count}
	// What the first connection of a process sets up belongs to no client.
	warm, err := connectFleet(ctx, srv.addr, 1, 1, reconnect.Policy{})
	if err != nil {
		return nil, err
	}
	warm.close()
	// HealthyAfter only saves the wait until the connections count as healthy.
	usual := reconnect.Policy{HealthyAfter: time.Millisecond}
	spread := reconnect.Policy{Min: s.spread, HealthyAfter: time.Millisecond}
	for i, policy := range []reconnect.Policy{usual, spread} {
		before, err := settle()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		f, err := connectFleet(ctx, srv.addr, s.count, s.atOnce, policy)
		if err != nil {
			return nil, err
		}
		total := time.Since(start)
		if i == 0 {
			err = r.fill(before, f, total)
		}
		if err == nil {
			srv, err = r.storm(ctx, s, srv, f, policy)
		}
		f.close()
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// fill notes what the clients of f occupy, and how long they took to connect.
func (r *carried) fill(before footprint, f *fleet, total time.Duration) error {
	after, err := settle()
	if err != nil {
		return err
	}
	n := float64(len(f.clients))
	r.Heap = (after.heap - before.heap) / n
	r.Stack = (after.stack - before.stack) / n
	r.Resident = (after.resident - before.resident) / n
	r.Goroutines = float64(after.goroutines-before.goroutines) / n
	r.ConnectAll = milliseconds(total)
	slices.Sort(f.took)
	r.ConnectMedian = median(f.took)
	r.ConnectP99 = f.took[len(f.took)*99/100]
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
