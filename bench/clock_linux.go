package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// clock waits to within microseconds. The timers of the runtime may be a
// millisecond late when the process is idle, many times what is measured.
type clock struct {
	timer *os.File // a timerfd, so that a goroutine waits and no thread
	fd    uintptr
}

func newClock() (*clock, error) {
	const monotonic = 1
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, fmt.Errorf("timer: %w", errno)
	}
	return &clock{os.NewFile(fd, "timer"), fd}, nil
}

func (c *clock) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	setting := [2]syscall.Timespec{1: syscall.NsecToTimespec(int64(d))}
	_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, c.fd, 0, uintptr(unsafe.Pointer(&setting)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("timer: %w", errno)
	}
	var expirations [8]byte
	_, err := c.timer.Read(expirations[:])
	return err
}
