package bench

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clock waits to within microseconds. The timers of the runtime may be a millisecond late
// in an idle process, which would be charged to the server.
type clock struct {
	timer *os.File // a timerfd: a goroutine waits for it, and no thread
}

func newClock() (*clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &clock{os.NewFile(uintptr(fd), "timer")}, nil
}

// nap waits for a short time.
func (c *clock) nap(d time.Duration) error {
	setting := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, int64(d)))}
	var err error
	raw, failed := c.timer.SyscallConn()
	if failed != nil {
		return failed
	}
	if failed := raw.Control(func(fd uintptr) { err = unix.TimerfdSettime(int(fd), 0, &setting, nil) }); failed != nil {
		return failed
	}
	if err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	var expirations [8]byte
	_, err = c.timer.Read(expirations[:])
	return err
}

func (c *clock) close() { c.timer.Close() }
