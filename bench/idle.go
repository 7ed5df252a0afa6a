package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// openers is how many idle clients connect at the same time. Some libraries
// take 10 ms for it.
const openers = 64

// measureIdle connects many clients and looks at what each of them occupies.
func measureIdle(e *entry, j *job, s *sample) error {
	if err := raiseOpenFiles(); err != nil {
		return err
	}
	if err := j.measured(); err != nil { // for profiles only
		return err
	}
	before := settle()
	clients := make([]client, j.clients)
	t := new(tally)
	if err := openAll(e, j, clients, t); err != nil {
		return err
	}
	after := settle()
	n := float64(len(clients))
	s.Idle = &idle{
		Heap:       (after.heap - before.heap) / n,
		Stack:      (after.stack - before.stack) / n,
		Goroutines: (after.goroutines - before.goroutines) / n,
	}
	runtime.KeepAlive(clients)
	return nil
}

func openAll(e *entry, j *job, clients []client, t *tally) error {
	errs := make([]error, openers)
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range openers {
		wg.Go(func() {
			for errs[worker] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(clients) {
					return
				}
				clients[i], errs[worker] = openIdle(e, j, i, t)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func openIdle(e *entry, j *job, number int, t *tally) (client, error) {
	own := *j
	own.clientID = fmt.Sprintf("idle-%d", number)
	c, err := e.open(&own)
	if err == nil && j.subscribed {
		err = c.(subscriber).subscribe(j.names(), j.qos, t)
	}
	if err != nil {
		return nil, fmt.Errorf("client %d: %w", number, err)
	}
	return c, nil
}

type footprint struct{ heap, stack, goroutines float64 }

// settle waits until what connecting needed for a moment is gone: until two
// looks in a row see the same.
func settle() footprint {
	now := look()
	for range 20 {
		time.Sleep(200 * time.Millisecond)
		before := now
		now = look()
		if now.goroutines == before.goroutines && math.Abs(now.heap-before.heap) <= 0.001*now.heap {
			break
		}
	}
	return now
}

func look() footprint {
	for range 3 { // finalizers and pools take more than one collection
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{float64(m.HeapAlloc), float64(m.StackInuse), float64(runtime.NumGoroutine())}
}

// openFiles is enough for 10,000 connections. The ports of one loopback address
// are, too: there are 28,000.
const openFiles = 10_500

// raiseOpenFiles lifts the limit of this process. The runtime has already raised
// it as far as it may go without privileges.
func raiseOpenFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= openFiles {
		return err
	}
	limit.Cur, limit.Max = openFiles, max(openFiles, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("%d open files are needed: %w", openFiles, err)
	}
	return nil
}
