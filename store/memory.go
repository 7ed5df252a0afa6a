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
	// Values are replaced as a whole and never written into, so a Scan may keep them
	// when it has let go of the lock.
	values map[string][]byte
	closed bool
}

var _ Store = (*Mem)(nil)

// Memory returns an empty Store in memory, for tests and for programs whose state
// may end with them. Its Scan takes time and memory for each key with the prefix
// before it yields the first; the loop may call whatever it likes.
func Memory() *Mem { return new(Mem) }

// Commit implements Store. It fails for an operation that Check refuses and after
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
			// The value is still the Store's own: a caller who writes into it has been told.
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

// Close implements Store. What the Store held is gone; a Scan that has begun still
// has all of it.
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values, m.closed = nil, true
	return nil
}
