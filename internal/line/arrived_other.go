//go:build !linux

package line

import "syscall"

// arrived is known on Linux only.
func arrived(syscall.Conn) (bytes int64, known bool) { return -1, false }

// unread is known on Linux only.
func unread(syscall.Conn) (bytes int, known bool) { return 0, false }
