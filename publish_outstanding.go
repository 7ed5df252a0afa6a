package mqtt

import "slices"

// flush waits until all messages up to a number are out of the way.
type flush struct {
	seq       uint64
	remaining int
	err       error // set before done is closed: the client ended first
	done      chan struct{}
}

// flushes are the calls of Flush that wait. They are guarded by engine.mu.
type flushes []*flush

// remove takes out f.
func (all *flushes) remove(f *flush) {
	*all = slices.DeleteFunc(*all, func(g *flush) bool { return g == f })
}

// fail has all return err: what they wait for fails now.
func (all flushes) fail(err error) {
	for _, f := range all {
		f.err = err
	}
}

// count notes that message seq is out of the way. It appends to dst, and takes out,
// those that wait for nothing else.
func (all *flushes) count(dst []*flush, seq uint64) []*flush {
	*all = slices.DeleteFunc(*all, func(f *flush) bool {
		if seq > f.seq {
			return false
		}
		if f.remaining--; f.remaining > 0 {
			return false
		}
		dst = append(dst, f)
		return true
	})
	return dst
}
