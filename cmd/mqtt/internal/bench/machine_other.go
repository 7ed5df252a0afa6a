//go:build !linux

package bench

// machineTime is not known here.
func machineTime() (busy, all uint64, ok bool) { return 0, 0, false }
