package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// start is how a client begins whose Store has messages. Times are in milliseconds,
// sizes in bytes.
type start struct {
	File    float64 `json:"file"`    // what is stored
	Open    float64 `json:"open"`    // until the Store is open
	Start   float64 `json:"start"`   // from then until the client can be used
	Connect float64 `json:"connect"` // from when it may connect until it has
	Drain   float64 `json:"drain"`   // messages a second that it then sends; 0: none were there

	// Before the client may connect, beyond what the process had at first.
	Heap      float64 `json:"heap"`
	Anonymous float64 `json:"anonymous"` // resident, without files
	Resident  float64 `json:"resident"`
	// Peak is the largest anonymous resident size while it sends.
	Peak float64 `json:"peak"`
}

// fill has a process of its own put messages into the Store, as if it had been killed
// before it sent them.
func (r *runner) fill(ctx context.Context, e *entry, s *scenario) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	command, err := r.command(e, s, "127.0.0.1:1")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], append(command[1:], "-fill")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fill: %w: %.1000s", err, bytes.TrimSpace(out))
	}
	return nil
}

// fillers is how many goroutines fill a Store.
const fillers = 512

// fill is the process that fills a Store. The disk is not waited for until the end.
func fill(j *job) error {
	c, closeStore, err := startStored(j, bolt.Config{NoSync: true}, make(chan struct{}))
	if err != nil {
		return err
	}
	m := &mqtt.Message{Topic: topic, Payload: j.payload, QoS: mqtt.QoS(j.qos)}
	errs := make([]error, fillers)
	var wg sync.WaitGroup
	for i := range fillers {
		wg.Go(func() {
			for n := i; n < j.stored && errs[i] == nil; n += fillers {
				_, errs[i] = c.PublishAsync(context.Background(), m)
			}
		})
	}
	wg.Wait()
	c.Close()
	return errors.Join(append(errs, closeStore())...)
}

// startStored starts a client that does not connect before ready is closed.
func startStored(j *job, config bolt.Config, ready chan struct{}) (c *mqtt.Client, closeStore func() error, err error) {
	s, _, err := openStore(j.dir, config)
	if err != nil {
		return nil, nil, err
	}
	c, err = mqtt.Start(j.url(), storedConfig(j, ready, s))
	return c, s.Close, err
}

// measureStart opens the Store and starts a client, looks at its memory, and lets it
// connect and send everything.
func measureStart(j *job, s *sample) error {
	before := settle()
	anonymous, resident := residentSizes()
	if err := j.measured(); err != nil {
		return err
	}
	x := &start{File: float64(sizeOf(j.dir))}
	begin := time.Now()
	file, _, err := openStore(j.dir, bolt.Config{})
	if err != nil {
		return err
	}
	x.Open = milliseconds(time.Since(begin))
	begin = time.Now()
	ready := make(chan struct{})
	c, err := mqtt.Start(j.url(), storedConfig(j, ready, file))
	if err != nil {
		return err
	}
	x.Start = milliseconds(time.Since(begin))
	x.Heap = settle().heap - before.heap
	a, r := residentSizes()
	x.Anonymous, x.Resident = a-anonymous, r-resident
	if err := x.drain(c, j, ready); err != nil {
		return err
	}
	s.Start = x
	return nil
}

// drain lets c connect and waits until all is acknowledged.
func (x *start) drain(c *mqtt.Client, j *job, ready chan struct{}) error {
	begin := time.Now()
	close(ready)
	if err := c.WaitConnected(context.Background()); err != nil {
		return err
	}
	x.Connect = milliseconds(time.Since(begin))
	for {
		a, _ := residentSizes()
		x.Peak = max(x.Peak, a)
		st := c.Stats()
		if st.Queued+st.Inflight == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	x.Drain = float64(j.stored) / time.Since(begin).Seconds()
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// residentSizes returns how much memory the process has, without what it maps of files
// and with it. Linux only.
func residentSizes() (anonymous, all float64) {
	status, _ := os.ReadFile("/proc/self/status")
	kib := func(name string) float64 {
		n, _ := strconv.ParseFloat(strings.TrimSuffix(fieldOf(status, name), " kB"), 64)
		return n * 1024
	}
	return kib("RssAnon"), kib("VmRSS")
}
