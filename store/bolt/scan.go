package bolt

import (
	"bytes"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/seed65a45251/mqtt/store"
)

// Scan implements store.Store. The file keeps all records that a Scan may still
// reach, so a long loop makes it grow if there are Commits meanwhile. On systems
// where Commits and Scans do not wait for each other, the loop may call Commit and
// Scan.
func (f *File) Scan(prefix []byte) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := f.scan(bytes.Clone(prefix), yield); err != nil {
			yield(store.Record{}, err)
		}
	}
}

func (f *File) scan(prefix []byte, yield func(store.Record, error) bool) error {
	d, err := f.acquire()
	if err != nil {
		return err
	}
	defer f.release(d)
	var tx *bbolt.Tx
	if err := guard(func() (err error) { tx, err = d.Begin(false); return err }); err != nil {
		return fmt.Errorf("store/bolt: scan: %w", describe(err))
	}
	defer func() { _ = tx.Rollback() }()

	s := scanner{tx: tx, prefix: prefix}
	for {
		if err := guard(s.next); err != nil {
			return fmt.Errorf("store/bolt: scan: %w", err)
		}
		if s.cursor == nil || !yield(s.record, nil) {
			return nil
		}
	}
}

// acquire returns the database and counts one more reader of it.
func (f *File) acquire() (*database, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		if err != store.ErrClosed {
			err = fmt.Errorf("store/bolt: scan: %w", err)
		}
		return nil, err
	}
	f.scans.Add(1)
	f.db.scans++
	return f.db, nil
}

func (f *File) release(d *database) {
	f.mu.Lock()
	d.scans--
	last := d.retired && d.scans == 0
	f.mu.Unlock()
	if last {
		_ = d.close() // the file has no name any more, so nothing can be lost
	}
	f.scans.Done()
}

// scanner walks over the records with a prefix. It copies each of them: the memory
// that bbolt returns is the mapped file. A write to it ends the process, and so does
// a read after the file was truncated.
type scanner struct {
	tx     *bbolt.Tx
	prefix []byte
	cursor *bbolt.Cursor
	record store.Record
}

// next makes the next record the current one. After the last record there is no
// cursor.
func (s *scanner) next() error {
	var key, sealed []byte
	if s.cursor == nil {
		bucket := s.tx.Bucket(bucketName)
		if bucket == nil {
			return fmt.Errorf("%w: its records are gone", ErrDamaged)
		}
		s.cursor = bucket.Cursor()
		key, sealed = s.cursor.Seek(s.prefix)
	} else {
		key, sealed = s.cursor.Next()
	}
	if key == nil || !bytes.HasPrefix(key, s.prefix) {
		s.cursor = nil
		return nil
	}
	value, err := unseal(key, sealed)
	if err != nil {
		return err
	}
	s.record.Key = append(s.record.Key[:0], key...)
	s.record.Value = append(s.record.Value[:0], value...)
	return nil
}
