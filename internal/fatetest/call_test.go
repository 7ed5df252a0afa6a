package fatetest

import (
	"context"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// call is a call that runs beside the test.
type call struct {
	done     chan struct{}
	err      error
	accepted <-chan struct{} // closed when PublishAsync has returned a Delivery
	cancel   context.CancelFunc
	waits    <-chan struct{} // closed when the call waits
}

// waitingContext tells when a call has begun to wait for its end.
type waitingContext struct {
	context.Context
	waits func()
}

func (c *waitingContext) Done() <-chan struct{} {
	c.waits()
	return c.Context.Done()
}

// begin runs f beside the test.
func begin(ctx context.Context, f func(context.Context) error) *call {
	ctx, cancel := context.WithCancel(ctx)
	waits := make(chan struct{})
	c := &call{done: make(chan struct{}), cancel: cancel, waits: waits}
	go func() {
		defer close(c.done)
		c.err = f(&waitingContext{ctx, sync.OnceFunc(func() { close(waits) })})
	}()
	return c
}

// awaitWaiting returns when the call waits or is over.
func (c *call) awaitWaiting() {
	select {
	case <-c.waits:
	case <-c.done:
	}
}

// over waits for the end of the call.
func (w *world) over(c *call) {
	w.Helper()
	select {
	case <-c.done:
	case <-time.After(w.patience()):
		require.FailNow(w, "the call did not return")
	}
}
