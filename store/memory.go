package store

import (
	"bytes"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Mem is the Store that Memory returns: it lasts as long as the program. Its zero
// value is an empty Store.
type Mem struct {
	mu sync.RWMutex
	// Values are replaced as a whole and never modified, so a Scan may use them after
	// it has released the lock.
	values map[string][]byte
	closed bool
}

var _ Store = (*Mem)(nil)

// Memory returns an empty Store in memory. It is for tests and for programs whose
// state may end with them. Before Scan yields the first record, it takes time and
// memory for every key with the prefix. The loop may call all methods of the Store.
func Memory() *Mem { return new(Mem) }

// Commit implements Store. It fails for operations that Check refuses, and after
// Close.
func (m *Mem) Commit(ops []Op) error {
	if err := Check(ops); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	for _, op := range ops {
		if op.Delete {
			delete(m.values, string(op.Key))
		} else {
			m.values[string(op.Key)] = bytes.Clone(op.Value)
		}
	}
	return nil
}

// Scan implements Store.
func (m *Mem) Scan(prefix []byte) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		found, err := m.snapshot(string(prefix))
		if err != nil {
			yield(Record{}, err)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(found)) {
			// The value belongs to the Store: callers of Scan must not change it.
			if !yield(Record{Key: []byte(key), Value: found[key]}, nil) {
				return
			}
		}
	}
}

func (m *Mem) snapshot(prefix string) (map[string][]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	found := make(map[string][]byte)
	for key, value := range m.values {
		if strings.HasPrefix(key, prefix) {
			found[key] = value
		}
	}
	return found, nil
}

// Close implements Store. The contents are dropped, but a Scan that has begun still
// yields all of them.
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values, m.closed = nil, true
	return nil
}
