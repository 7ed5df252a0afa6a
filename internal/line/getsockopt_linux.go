//go:build linux && !386 && !s390x

package line

import (
	"syscall"
	"unsafe"
)

// getsockopt reads an option into the size bytes at value, and sets size to how many there
// are.
func getsockopt(fd, level, option uintptr, value unsafe.Pointer, size *uint32) syscall.Errno {
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, level, option, uintptr(value), uintptr(unsafe.Pointer(size)), 0)
	return errno
}
