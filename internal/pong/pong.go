// Package pong answers the pings of a WebSocket. Package websocket would do it in the
// reader, which stands still meanwhile, and would end the connection when the writer is
// busy for five seconds. On a slow line a single frame keeps it busy for longer. Here
// the answer waits for its turn between two frames, as long as that takes.
package pong

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
)

// Answers sends the answers of one connection.
type Answers struct {
	to     io.Writer
	masked bool
	turn   chan struct{} // whoever writes to the connection has put something in

	mu      sync.Mutex // guards what follows
	pending []byte     // the frame to send next; nil: none
	running bool
	closed  bool

	sender sync.WaitGroup
}

// New returns Answers that write whole frames to w, those of a client if masked.
func New(w io.Writer, masked bool) *Answers {
	return &Answers{to: w, masked: masked, turn: make(chan struct{}, 1)}
}

// Begin waits until nobody else writes a frame. End has to follow when it is written.
func (a *Answers) Begin() { a.turn <- struct{}{} }

// End lets others write.
func (a *Answers) End() { <-a.turn }

// Received is to be called for each ping. It does not wait. Its result tells package
// websocket not to answer as well.
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

// Close returns when nothing is sent any more. The connection is closed already.
func (a *Answers) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.sender.Wait()
}

// send sends what is pending, and what comes meanwhile.
func (a *Answers) send() {
	for {
		a.Begin()
		a.mu.Lock()
		frame := a.pending
		a.pending = nil
		a.running = frame != nil
		a.mu.Unlock()
		if frame != nil {
			_, _ = a.to.Write(frame) // whoever writes next has the same error
		}
		a.End()
		if frame == nil {
			return
		}
	}
}

// frame builds a pong frame.
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
