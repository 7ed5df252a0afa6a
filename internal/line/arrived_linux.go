package line

import (
	"encoding/binary"
	"syscall"
	"unsafe"
)

// bytesReceived is where the kernel's struct tcp_info has its tcpi_bytes_received.
const bytesReceived = 128

// arrived returns how many bytes the kernel has received in order. A kernel that does
// not count them says less than that.
func arrived(nc syscall.Conn) (bytes int64, known bool) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return -1, false
	}
	var info [bytesReceived + 8]byte
	size := uint32(len(info))
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		errno = getsockopt(fd, syscall.IPPROTO_TCP, syscall.TCP_INFO, unsafe.Pointer(&info), &size)
	})
	if err != nil || errno != 0 || int(size) < len(info) {
		return -1, false
	}
	return int64(binary.NativeEndian.Uint64(info[bytesReceived:])), true
}

// unread returns how many bytes the kernel holds that nobody has read.
func unread(nc syscall.Conn) (bytes int, known bool) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var n int32
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&n)))
	})
	return int(n), err == nil && errno == 0
}
