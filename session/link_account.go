package session

import (
	"slices"
	"sort"
)

// account knows how far what was sent on a connection has come. Positions count all
// bytes of the connection, CONNECT included.
type account struct {
	on      bool     // somebody asks for it
	taken   uint64   // in the hands of the writer
	written uint64   // of them, written
	lossy   []uint64 // where QoS 0 messages end that may not be written yet
}

// wrote says that all bytes up to a position are written.
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
