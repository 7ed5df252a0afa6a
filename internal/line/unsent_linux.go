package line

import (
	"syscall"
	"unsafe"
)

// unsent returns how many bytes the kernel holds that the other side has not
// acknowledged.
func unsent(nc syscall.Conn) (bytes int, known bool) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var n int32
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	})
	return int(n), err == nil && errno == 0
}
