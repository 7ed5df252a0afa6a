package main

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// fsyncLimit is the limit of what is durable: a log that publishers append to, and one
// fsync for all that have come meanwhile. It sends nothing.
type fsyncLimit struct {
	job    *job
	file   *os.File
	counts syncs

	mu      sync.Mutex
	changed sync.Cond
	waiting []byte // not yet written
	writing bool
	round   uint64 // of the bytes in waiting
	done    uint64 // rounds below it are on the disk
}

func openFsyncLimit(j *job) (client, error) {
	f, err := os.Create(filepath.Join(j.dir, "log"))
	c := &fsyncLimit{job: j, file: f}
	c.changed.L = &c.mu
	return c, err
}

func (c *fsyncLimit) synced() *syncs { return &c.counts }

func (c *fsyncLimit) pump(stop *atomic.Bool) (uint64, error) {
	return together(c.job.goroutines, stop, func() error { return c.publish(c.job.qos) })
}

func (c *fsyncLimit) publish(byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, c.job.payload...)
	round := c.round
	for c.writing && c.done <= round {
		c.changed.Wait()
	}
	if c.done > round {
		return nil
	}
	c.writing = true
	c.mu.Unlock()
	runtime.Gosched() // lets publishers join whose messages were just written
	c.mu.Lock()
	block := c.waiting
	c.waiting = nil
	c.round++
	c.mu.Unlock()
	start := time.Now()
	_, err := c.file.Write(block)
	if err == nil {
		err = c.file.Sync()
	}
	c.counts.done(start, 1, 1)
	c.mu.Lock()
	c.writing, c.done = false, round+1
	c.changed.Broadcast()
	return err
}
