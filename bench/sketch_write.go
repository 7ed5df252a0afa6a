package main

import "runtime"

// sketchRoom is how much may be pending before publishers wait.
const sketchRoom = 256 << 10

func (c *sketchClient) awaitRoomLocked() error {
	for len(c.pending) > sketchRoom && c.err == nil {
		c.room.Wait()
	}
	return c.err
}

// idleLocked says that nothing is to be written and nobody writes.
func (c *sketchClient) idleLocked() bool {
	return len(c.pending) == 0 && !c.writing && !c.woken
}

// unlockAndWake wakes the writer if there is something to write and nobody does.
func (c *sketchClient) unlockAndWake() {
	wake := len(c.pending) > 0 && !c.writing && !c.woken
	if wake {
		c.woken = true
	}
	c.mu.Unlock()
	if wake {
		c.wake <- struct{}{}
	}
}

// write is the goroutine that writes, until the connection ends.
func (c *sketchClient) write() {
	for range c.wake {
		runtime.Gosched() // publishers that can run append first
		c.mu.Lock()
		for len(c.pending) > 0 && !c.writing && c.err == nil {
			c.writeLocked()
		}
		c.woken = false
		c.mu.Unlock()
	}
}

// writeLocked writes what is pending, with the lock released meanwhile.
func (c *sketchClient) writeLocked() {
	b := c.pending
	c.pending, c.spare = c.spare[:0], nil
	c.writing = true
	c.room.Broadcast()
	c.mu.Unlock()
	_, err := c.conn.Write(b)
	c.mu.Lock()
	c.spare, c.writing = b, false
	if err != nil {
		c.failLocked(err)
	}
}

// failLocked ends everything that waits. The first reason counts.
func (c *sketchClient) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.table.abandon()
	c.room.Broadcast()
	c.slots.Broadcast()
}
