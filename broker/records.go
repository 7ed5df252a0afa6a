package broker

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// All keys of a broker begin with recordsPrefix, so that a Store can be shared with
// others, and with the kind of the record. What follows are numbers, the highest
// byte first, and hashes of what has no limit:
//
//	Bc                               when the broker last ran
//	Bs session                       a session
//	Bf session SHA-256(filter)       a subscription
//	Bm message                       a message that waits for one session or more
//	Bq message session place         its place in the queue of a session
//	Bi session packet identifier     a QoS 2 message that was received
//	Br SHA-256(topic)                a retained message
//
// A session that starts anew has a new number, so nothing that is left of the old
// one is taken for its own. The places of a message stand together, so that one for
// many sessions changes few pages of a file.
const recordsPrefix = "B"

type recordKind byte

const (
	clockRecord      recordKind = 'c'
	sessionRecord    recordKind = 's'
	filterRecord     recordKind = 'f'
	messageRecord    recordKind = 'm'
	queuedRecord     recordKind = 'q'
	identifierRecord recordKind = 'i'
	retainedRecord   recordKind = 'r'
)

// recordFormat is the first byte of each value that has not changed since the first
// version of this package; some kinds have later ones as well. An unknown one is from a
// later version, and is refused.
const recordFormat = 1

// RecordError says which record of [Config.Store] the broker could not use. It has
// changed nothing then.
type RecordError struct {
	Key []byte
	Err error
}

// Error names the key.
func (e *RecordError) Error() string { return fmt.Sprintf("mqtt: record %q: %v", e.Key, e.Err) }

// Unwrap returns what is wrong with the record.
func (e *RecordError) Unwrap() error { return e.Err }

var (
	errRecordFormat  = errors.New("unknown format")
	errRecordDamaged = errors.New("damaged")
)

func recordKey(kind recordKind, numbers ...uint64) []byte {
	key := make([]byte, 0, 2+8*len(numbers))
	key = append(key, recordsPrefix...)
	key = append(key, byte(kind))
	for _, n := range numbers {
		key = binary.BigEndian.AppendUint64(key, n)
	}
	return key
}

func filterKey(session uint64, filter string) []byte {
	hash := sha256.Sum256([]byte(filter))
	return append(recordKey(filterRecord, session), hash[:]...)
}

func identifierKey(session uint64, id uint16) []byte {
	return binary.BigEndian.AppendUint16(recordKey(identifierRecord, session), id)
}

func retainedKey(topic string) []byte {
	hash := sha256.Sum256([]byte(topic))
	return append(recordKey(retainedRecord), hash[:]...)
}

func deletion(key []byte) store.Op { return store.Op{Key: key, Delete: true} }

// parseKey returns the numbers of a key and checks the length of what follows them.
func parseKey(key []byte, numbers, rest int) ([3]uint64, []byte, error) {
	var n [3]uint64
	if len(key) != 2+8*numbers+rest {
		return n, nil, fmt.Errorf("key: %w", errRecordDamaged)
	}
	b := key[2:]
	for i := range numbers {
		n[i], b = binary.BigEndian.Uint64(b), b[8:]
	}
	return n, b, nil
}

// recordWriter appends the fields of a record.
type recordWriter []byte

func newRecord(size int) recordWriter { return append(make(recordWriter, 0, size+1), recordFormat) }

func (w *recordWriter) byte(b byte)     { *w = append(*w, b) }
func (w *recordWriter) uint16(n uint16) { *w = binary.BigEndian.AppendUint16(*w, n) }
func (w *recordWriter) uint32(n uint32) { *w = binary.BigEndian.AppendUint32(*w, n) }
func (w *recordWriter) uint64(n uint64) { *w = binary.BigEndian.AppendUint64(*w, n) }

func (w *recordWriter) string(s string) {
	*w = binary.AppendUvarint(*w, uint64(len(s)))
	*w = append(*w, s...)
}

// time keeps nanoseconds; the zero time is 0.
func (w *recordWriter) time(t time.Time) {
	if t.IsZero() {
		w.uint64(0)
		return
	}
	w.uint64(uint64(t.UnixNano()))
}

func (w *recordWriter) bool(b bool) {
	if b {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

// recordReader takes the fields off a record. After the first that is not there it
// yields zeros, and end returns the error. What it returns shares the memory of the
// record.
type recordReader struct {
	b   []byte
	err error
}

func readRecord(value []byte) *recordReader {
	r, _ := readFormats(value, recordFormat)
	return r
}

// readFormats is readRecord for records that have formats up to last.
func readFormats(value []byte, last byte) (r *recordReader, format byte) {
	r = &recordReader{b: value}
	if format = r.byte(); r.err == nil && (format < recordFormat || format > last) {
		r.fail(fmt.Errorf("%w %d", errRecordFormat, format))
	}
	return r, format
}

func (r *recordReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// take returns the next n bytes, or nil.
func (r *recordReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(errRecordDamaged)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *recordReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *recordReader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *recordReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *recordReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *recordReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail(errRecordDamaged)
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *recordReader) bytes() []byte  { return r.take(r.uvarint()) }
func (r *recordReader) string() string { return string(r.bytes()) }

func (r *recordReader) time() time.Time {
	n := r.uint64()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}

func (r *recordReader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail(errRecordDamaged)
	}
	return b == 1
}

func (r *recordReader) qos() wire.QoS {
	q := wire.QoS(r.byte())
	if q > wire.ExactlyOnce {
		r.fail(errRecordDamaged)
		return 0
	}
	return q
}

// end returns what was wrong. Nothing may be left.
func (r *recordReader) end() error {
	if r.err == nil && len(r.b) > 0 {
		return errRecordDamaged
	}
	return r.err
}
