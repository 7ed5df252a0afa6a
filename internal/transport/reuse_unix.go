//go:build unix

package transport

import "syscall"

// reuseAddress lets a fixed local port be used again while connections that had
// it before are still in TIME_WAIT.
func reuseAddress(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
