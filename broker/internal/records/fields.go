package records

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// firstFormat is the first byte of each value in the format of the first version of
// this package. Some kinds of records have later formats as well. An unknown format is
// from a later version of the package and is refused.
const firstFormat = 1

var (
	// ErrFormat says that a record has a format of a later version.
	ErrFormat = errors.New("unknown format")
	// ErrDamaged says that a record was changed after it was written.
	ErrDamaged = errors.New("damaged")
)

// writer appends the fields of a record.
type writer []byte

func newWriter(size int) writer { return append(make(writer, 0, size+1), firstFormat) }

func (w *writer) byte(b byte)     { *w = append(*w, b) }
func (w *writer) uint16(n uint16) { *w = binary.BigEndian.AppendUint16(*w, n) }
func (w *writer) uint32(n uint32) { *w = binary.BigEndian.AppendUint32(*w, n) }
func (w *writer) uint64(n uint64) { *w = binary.BigEndian.AppendUint64(*w, n) }

func (w *writer) string(s string) {
	*w = binary.AppendUvarint(*w, uint64(len(s)))
	*w = append(*w, s...)
}

// time keeps nanoseconds; the zero time is 0.
func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.uint64(0)
		return
	}
	w.uint64(uint64(t.UnixNano()))
}

func (w *writer) bool(b bool) {
	if b {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

// reader takes the fields off a record. After the first field that is missing it
// returns zero values, and end returns the error. Slices and strings share the memory
// of the record.
type reader struct {
	b   []byte
	err error
}

func newReader(value []byte) *reader {
	r, _ := newReaderUpTo(value, firstFormat)
	return r
}

// newReaderUpTo is newReader for records that have formats up to last.
func newReaderUpTo(value []byte, last byte) (r *reader, format byte) {
	r = &reader{b: value}
	if format = r.byte(); r.err == nil && (format < firstFormat || format > last) {
		r.fail(fmt.Errorf("%w %d", ErrFormat, format))
	}
	return r, format
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// take returns the next n bytes, or nil.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(ErrDamaged)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail(ErrDamaged)
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) bytes() []byte  { return r.take(r.uvarint()) }
func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) time() time.Time {
	n := r.uint64()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail(ErrDamaged)
	}
	return b == 1
}

func (r *reader) qos() wire.QoS {
	q := wire.QoS(r.byte())
	if q > wire.ExactlyOnce {
		r.fail(ErrDamaged)
		return 0
	}
	return q
}

// end returns the first error. Bytes that are left over are an error.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		return ErrDamaged
	}
	return r.err
}
