package store

import (
	"bytes"
	"cmp"
	"iter"
	"strings"
	"sync"

	"github.com/seed65a45251/mqtt/internal/sorted"
)

// Mem is the Store that Memory returns: it lasts as long as the program. Its zero
// value is an empty Store.
type Mem struct {
	mu sync.RWMutex
	// Values are replaced as a whole and never modified, so a Scan may use them after
	// it has released the lock.
	records sorted.List[entry]
	closed  bool
}

var _ Store = (*Mem)(nil)

type entry struct {
	key   string
	value []byte
}

// Compare makes records lie in the order of their keys.
func (e entry) Compare(key string) int { return cmp.Compare(e.key, key) }

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
	for _, op := range ops {
		if op.Delete {
			m.records.Remove(string(op.Key))
		} else {
			key := string(op.Key)
			m.records.Set(key, entry{key, bytes.Clone(op.Value)})
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
		for _, e := range found {
			// The value belongs to the Store: callers of Scan must not change it.
			if !yield(Record{Key: []byte(e.key), Value: e.value}, nil) {
				return
			}
		}
	}
}

func (m *Mem) snapshot(prefix string) (found []entry, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	for e := range m.records.From(prefix) {
		if !strings.HasPrefix(e.key, prefix) {
			break
		}
		found = append(found, e)
	}
	return found, nil
}

// Close implements Store. The contents are dropped, but a Scan that has begun still
// yields all of them.
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records, m.closed = sorted.List[entry]{}, true
	return nil
}
