//go:build !plan9

package broker

import (
	"errors"
	"syscall"
)

// diskIsFull reports whether err is the system's for a disk without room.
func diskIsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
