//go:build unix

package output

import (
	"sync"

	"golang.org/x/sys/unix"
)

// WhenGone calls f once when the stream is a pipe or socket that nobody reads any more,
// without a write. After stop has returned, f is not called.
func (s *Stream) WhenGone(f func()) (stop func()) {
	if s.file == nil || s.Terminal {
		return func() {}
	}
	fd := int32(s.file.Fd())
	var mu sync.Mutex
	stopped := false
	// The goroutine waits in the kernel until the process ends. It does not hold up
	// anything.
	go func() {
		for {
			fds := []unix.PollFd{{Fd: fd}} // errors are reported without being asked for
			n, err := unix.Poll(fds, -1)
			if err == unix.EINTR {
				continue
			}
			mu.Lock()
			if n > 0 && fds[0].Revents&unix.POLLERR != 0 && !stopped {
				f()
			}
			mu.Unlock()
			return
		}
	}()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
	}
}
