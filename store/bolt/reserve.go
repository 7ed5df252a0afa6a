package bolt

import (
	"errors"

	"go.etcd.io/bbolt"
)

// bbolt makes its file larger by cutting it at a greater length. What is added is then
// a hole: the disk may turn out to be full in the middle of a later write, or, on a
// file system in memory, when the page is read. A file is therefore made larger here,
// before bbolt needs it, and with space that the system has set aside.

// growth is how much a file grows at a time. Each time costs one more fsync.
const growth = 4 << 20

// errNoReserve says that a file system cannot set space aside. bbolt then makes the
// file larger by itself.
var errNoReserve = errors.New("space cannot be set aside")

// reserving is what a database knows of the end of its file.
type reserving struct {
	// step is what the file grows by.
	step int64
	// off says that the file system cannot set space aside.
	off bool
}

// reserve makes room for a group in the file, unless it has enough. need is a guess:
// bbolt takes more from the end of the file if it has to. After an error it may still
// find room among the free pages.
func (d *database) reserve(tx *bbolt.Tx, group []*request) error {
	if d.reserving.off {
		return nil
	}
	need := tx.Size() + expected(group, int64(d.Info().PageSize))
	size := d.size()
	if need <= size || size < tx.Size() { // a shorter file was cut off by someone
		return nil
	}
	to := need + d.reserving.step
	if limit := int64(d.MaxSize); limit > 0 {
		to = min(to, limit)
	}
	if to <= size {
		return nil
	}
	err := allocate(d.file, size, to)
	if err == nil {
		err = d.file.Sync()
	}
	if errors.Is(err, errNoReserve) {
		d.reserveNothing()
		return nil
	}
	if err != nil {
		d.cut(size) // the system may have given a part
	}
	return err
}

// expected returns how many bytes a group takes at the end of the file if no page is
// free: twice its own bytes, because bbolt may leave pages half full, and a page rewritten
// for each operation.
func expected(group []*request, pageSize int64) int64 {
	bytes, ops := 0, 0
	for _, r := range group {
		bytes += r.size
		ops += len(r.ops)
	}
	return 2*int64(bytes) + (int64(ops)+16)*pageSize
}

// reserveNothing leaves it to bbolt to make the file larger.
func (d *database) reserveNothing() {
	d.reserving.off = true
	d.AllocSize = int(d.reserving.step)
}

// fill sets space aside for the holes of the file. Where there is none, the file stays
// as it is: a write to a hole then fails as on any full disk.
func (d *database) fill() {
	if d.reserving.off {
		return
	}
	if errors.Is(allocate(d.file, 0, d.size()), errNoReserve) {
		d.reserveNothing()
	}
}

// settle deals with a file that bbolt has made larger than size by itself. A
// transaction that failed gives the space back: nothing is in it.
func (d *database) settle(size int64, failed bool) {
	switch {
	case d.reserving.off || d.size() <= size:
	case failed:
		d.cut(size)
	default:
		d.fill()
	}
}

// cut makes the file end at size again. If it cannot, the file only stays longer.
func (d *database) cut(size int64) {
	if size >= smallest { // otherwise the system could not say what it was
		_ = d.file.Truncate(size)
	}
}
