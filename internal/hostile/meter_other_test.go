//go:build !linux || race

package hostile

import (
	"sync"
	"sync/atomic"
	"time"
)

// raced says that the figures are those of the Go runtime: they leave out what the
// race detector takes, and what is there for less than a few milliseconds.
const raced = true

// meter asks the Go runtime again and again.
type meter struct {
	begin   sync.Once
	highest atomic.Int64
}

// reset begins again with what is in memory now.
func (m *meter) reset() error {
	m.highest.Store(int64(managed()))
	m.begin.Do(func() { go m.watch() }) // for the life of the process
	return nil
}

func (m *meter) watch() {
	for {
		m.look()
		<-time.After(2 * time.Millisecond)
	}
}

func (m *meter) look() int {
	now := int64(managed())
	for {
		old := m.highest.Load()
		if now <= old || m.highest.CompareAndSwap(old, now) {
			return int(now)
		}
	}
}

func (m *meter) peak() (int, error) {
	m.look()
	return int(m.highest.Load()), nil
}

func (m *meter) now() (int, error) { return managed(), nil }
