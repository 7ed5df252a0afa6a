package bolt

import (
	"errors"
	"os"
	"syscall"
)

// allocate sets space aside for the part of a file from one offset to another, which
// becomes its end if the file is shorter. What the file contains stays.
func allocate(file *os.File, from, to int64) error {
	for {
		err := syscall.Fallocate(int(file.Fd()), 0, from, to-from)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return errNoReserve
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}
