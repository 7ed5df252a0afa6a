//go:build linux && (386 || s390x)

package line

import (
	"syscall"
	"unsafe"
)

// getsockopt reads an option into the size bytes at value, and sets size to how many there
// are. On these machines one call of the operating system stands for all of sockets.
func getsockopt(fd, level, option uintptr, value unsafe.Pointer, size *uint32) syscall.Errno {
	const number = 15 // of getsockopt, in linux/net.h
	arguments := struct {
		fd, level, option uintptr
		value             unsafe.Pointer
		size              *uint32
	}{fd, level, option, value, size}
	_, _, errno := syscall.Syscall(syscall.SYS_SOCKETCALL, number, uintptr(unsafe.Pointer(&arguments)), 0)
	return errno
}
