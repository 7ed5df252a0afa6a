// Package pong answers the pings of a WebSocket. Package websocket would answer them in
// the reader, which stops meanwhile, and would end the connection if the writer is busy
// for five seconds. On a slow line a single frame can take longer. Here the answer
// waits between two frames for as long as necessary.
package pong

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
)

// Answers sends the pongs of one connection.
type Answers struct {
	to     io.Writer
	masked bool
	turn   chan struct{} // holds one value while a goroutine writes to the connection

	mu      sync.Mutex // guards what follows
	pending []byte     // the frame to send next; nil: none
	running bool
	closed  bool

	sender sync.WaitGroup
}

// New returns Answers that write whole frames to w, masked like those of a client if
// masked is set.
func New(w io.Writer, masked bool) *Answers {
	return &Answers{to: w, masked: masked, turn: make(chan struct{}, 1)}
}

// Begin waits until no other goroutine writes a frame. Call End when the frame is
// written.
func (a *Answers) Begin() { a.turn <- struct{}{} }

// End allows other goroutines to write.
func (a *Answers) End() { <-a.turn }

// Received is called for each ping. It does not wait. Its result tells package
// websocket not to answer the ping, too.
func (a *Answers) Received(_ context.Context, payload []byte) bool {
	frame := a.frame(payload)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = frame // an answer to the last ping is enough (RFC 6455, 5.5.3)
	if !a.running && !a.closed {
		a.running = true
		a.sender.Go(a.send)
	}
	return false
}

// Close returns when no more pongs are sent. The connection must be closed already.
func (a *Answers) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.sender.Wait()
}

// send sends the pending pong, and those that are added meanwhile.
func (a *Answers) send() {
	for {
		a.Begin()
		a.mu.Lock()
		frame := a.pending
		a.pending = nil
		a.running = frame != nil
		a.mu.Unlock()
		if frame != nil {
			_, _ = a.to.Write(frame) // the next writer gets the same error
		}
		a.End()
		if frame == nil {
			return
		}
	}
}

// frame returns a pong frame.
func (a *Answers) frame(payload []byte) []byte {
	const final, pong, mask = 0x80, 0x0a, 0x80
	size := byte(len(payload)) // at most 125
	if !a.masked {
		return append([]byte{final | pong, size}, payload...)
	}
	frame := append([]byte{final | pong, mask | size, 0, 0, 0, 0}, payload...)
	key := frame[2:6]
	rand.Read(key)
	for i := range payload {
		frame[6+i] ^= key[i%4]
	}
	return frame
}
