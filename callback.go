package mqtt

import "context"

// detached runs a function of the caller, which may call the client's methods,
// Close among them, or ignore ctx. It must not be able to hold up the goroutine
// that Close waits for: when ctx ends first, ok is false.
func detached[T any](ctx context.Context, f func() T) (result T, ok bool) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case result = <-done:
		return result, true
	case <-ctx.Done():
		return result, false
	}
}
