package session

import (
	"slices"
	"sort"
)

// account tracks how much of the bytes of a connection has been written. Positions
// count all bytes of the connection, CONNECT included.
type account struct {
	on      bool     // it is in use
	taken   uint64   // bytes that the writer has taken
	written uint64   // bytes that have been written
	lossy   []uint64 // the ends of the QoS 0 messages that may not be written yet
}

// wrote says that all bytes up to a position have been written.
func (a *account) wrote(to uint64) {
	a.written = max(a.written, min(to, a.taken))
	n := len(a.lossy)
	if n == 0 {
		return
	}
	if a.lossy[n-1] <= a.written {
		a.lossy = a.lossy[:0]
		return
	}
	first := sort.Search(n, func(i int) bool { return a.lossy[i] > a.written })
	a.lossy = slices.Delete(a.lossy, 0, first)
}
