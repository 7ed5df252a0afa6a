//go:build !unix

package transport

import "syscall"

// reuseAddress does nothing: elsewhere the option would let other processes take
// the port.
func reuseAddress(_, _ string, _ syscall.RawConn) error { return nil }
