package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/reconnect"
)

// fleet is many clients of one server.
type fleet struct {
	clients  []*mqtt.Client
	took     []float64 // milliseconds that each call of Connect took
	attempts attempts
}

// connectFleet connects n clients, a few at the same time.
func connectFleet(ctx context.Context, addr string, n, atOnce int, policy reconnect.Policy) (*fleet, error) {
	f := &fleet{clients: make([]*mqtt.Client, n), took: make([]float64, n)}
	err := all(ctx, n, atOnce, func(ctx context.Context, i int) (err error) {
		start := time.Now()
		f.clients[i], err = mqtt.Connect(ctx, "mqtt://"+addr, mqtt.Config{
			ClientID:  fmt.Sprintf("carry-%07d", i),
			KeepAlive: 5 * time.Minute,
			Reconnect: policy,
			LocalAddr: fmt.Sprintf("127.1.0.%d", 1+i/perAddress),
			Attempt: func(context.Context, *mqtt.Attempt) error {
				f.attempts.add(i)
				return nil
			},
		})
		f.took[i] = milliseconds(time.Since(start))
		return err
	})
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fleet) close() {
	var wg sync.WaitGroup
	for _, c := range f.clients {
		if c != nil {
			wg.Go(func() { c.Close() })
		}
	}
	wg.Wait()
}

// waitConnected waits until all clients have tried to come back, and have done so.
func (f *fleet) waitConnected(ctx context.Context) error {
	select {
	case <-f.attempts.allTried:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, c := range f.clients {
		if err := c.WaitConnected(ctx); err != nil {
			return err
		}
	}
	return nil
}

// binWidth is the resolution of a storm.
const binWidth = 100 * time.Millisecond

// attempts counts attempts to connect, from begin on.
type attempts struct {
	mu       sync.Mutex
	start    time.Time
	bins     []int // attempts in each binWidth
	tried    map[int]bool
	clients  int
	allTried chan struct{} // closed when every client has tried
}

func (a *attempts) begin(clients int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start, a.clients = time.Now(), clients
	a.tried, a.allTried = make(map[int]bool), make(chan struct{})
}

// add counts an attempt of client i.
func (a *attempts) add(i int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.start.IsZero() {
		return
	}
	bin := int(time.Since(a.start) / binWidth)
	for len(a.bins) <= bin {
		a.bins = append(a.bins, 0)
	}
	a.bins[bin]++
	if !a.tried[i] {
		a.tried[i] = true
		if len(a.tried) == a.clients {
			close(a.allTried)
		}
	}
}

// footprint is what this process occupies, in bytes.
type footprint struct {
	heap, stack, resident float64
	goroutines            int
}

// settle waits until what is needed for a moment only is gone: until two looks in a
// row see the same.
func settle() (footprint, error) {
	last, err := look()
	for range 50 {
		if err != nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
		before := last
		last, err = look()
		if last.goroutines == before.goroutines && math.Abs(last.heap-before.heap) <= 0.001*last.heap {
			break
		}
	}
	return last, err
}

// look collects garbage, returns unused memory to the system, and then looks.
func look() (footprint, error) {
	runtime.GC() // finalizers and pools take more than one
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	resident, err := residentOf(os.Getpid())
	return footprint{float64(m.HeapAlloc), float64(m.StackInuse), resident, runtime.NumGoroutine()}, err
}
