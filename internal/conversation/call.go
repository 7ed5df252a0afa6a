package conversation

import "testing/synctest"

// Call is a function that runs beside the conversation.
type Call struct {
	done chan struct{}
	Err  error // what the function returned; set when the call is over
}

// Begin runs f on a goroutine of its own.
func Begin(f func() error) *Call {
	c := &Call{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.Err = f()
	}()
	return c
}

// Wait waits for the function and returns its error.
func (c *Call) Wait() error {
	<-c.done
	return c.Err
}

// Over reports whether the call has returned once everything else in the bubble
// waits.
func (c *Call) Over() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
