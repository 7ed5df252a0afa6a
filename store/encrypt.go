package store

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// ErrWrongKey is wrapped by the error of Encrypt for a Store whose records were
// encrypted with another key or not at all.
var ErrWrongKey = errors.New("not encrypted with this key")

// checkKey has a record by which Encrypt tells the right key. Users of the Store do not
// see it.
var checkKey = []byte("\x00store.Encrypt")

const checkValue = "The key is right."

// Encrypt returns a Store that encrypts the values of s with a key of 32 random bytes
// (AES-256-GCM, a key of its own for each record). It marks an empty s with a record; for
// an s with other contents than it has written with the same key it fails with
// ErrWrongKey, and s stays as it was. Close closes s, which must not be used besides.
//
// Keys, their number and the lengths of values stay readable. A value that was changed,
// or moved to another key, ends a Scan with an error. What goes unnoticed is a record
// that was removed, or put back to a value that it had before. Each value takes 41 bytes
// more. There is no way back to a lost key.
func Encrypt(s Store, key []byte) (Store, error) {
	x, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	e := &encrypted{store: s, sealer: x}
	found, err := e.check()
	if err == nil && !found {
		err = s.Commit([]Op{{Key: checkKey, Value: x.seal(checkKey, []byte(checkValue))}})
	}
	if err != nil {
		return nil, fmt.Errorf("store: encrypt: %w", err)
	}
	return e, nil
}

type encrypted struct {
	store  Store
	sealer *sealer
}

// check returns nil if the key is right. It reports whether the Store has the record
// that says so.
func (e *encrypted) check() (found bool, err error) {
	for r, err := range e.store.Scan(checkKey) {
		if err != nil {
			return false, err
		}
		if bytes.Equal(r.Key, checkKey) {
			return true, e.checkRecord(r)
		}
	}
	// A damaged Store may have lost that record, but not all others.
	some := false
	for r, err := range e.store.Scan(nil) {
		if err != nil {
			return false, err
		}
		if _, err := e.sealer.open(nil, r.Key, r.Value); err == nil {
			return false, nil
		}
		some = true
	}
	if some {
		return false, ErrWrongKey
	}
	return false, nil
}

func (e *encrypted) checkRecord(r Record) error {
	if len(r.Value) > 0 && r.Value[0] > sealedFormat {
		return fmt.Errorf("a newer version of this package has encrypted it, in format %d", r.Value[0])
	}
	value, err := e.sealer.open(nil, r.Key, r.Value)
	if err != nil || string(value) != checkValue {
		return ErrWrongKey
	}
	return nil
}

// Commit implements Store.
func (e *encrypted) Commit(ops []Op) error {
	if err := Check(ops); err != nil {
		return err
	}
	sealed := slices.Clone(ops)
	for i, op := range ops {
		if bytes.Equal(op.Key, checkKey) {
			return fmt.Errorf("store: operation %d: %w: %q is reserved", i, ErrKey, op.Key)
		}
		if !op.Delete {
			sealed[i].Value = e.sealer.seal(op.Key, op.Value)
		}
	}
	return e.store.Commit(sealed)
}

// Scan implements Store.
func (e *encrypted) Scan(prefix []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var value []byte
		for r, err := range e.store.Scan(prefix) {
			if err == nil && bytes.Equal(r.Key, checkKey) {
				continue
			}
			if err == nil {
				if value, err = e.sealer.open(value[:0], r.Key, r.Value); err != nil {
					err = fmt.Errorf("store: scan: %w", err)
				}
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			if !yield(Record{Key: r.Key, Value: value}, nil) {
				return
			}
		}
	}
}

// Close implements Store.
func (e *encrypted) Close() error { return e.store.Close() }
