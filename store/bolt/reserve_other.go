//go:build !linux

package bolt

import "os"

// allocate says that space cannot be set aside. Not every system has a call for it.
func allocate(*os.File, int64, int64) error { return errNoReserve }
