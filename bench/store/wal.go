package main

import (
	"encoding/binary"
	"path/filepath"

	"github.com/tidwall/wal"
)

// walEngine is a log of records set and removed. The records themselves have to be in
// memory, or at least where they are, since a log has no index.
type walEngine struct {
	log   *wal.Log
	live  map[uint64]uint64 // by key, the entry of the log
	next  uint64
	first uint64
}

func openWAL(dir string) (engine, error) {
	log, err := wal.Open(filepath.Join(dir, "log"), nil)
	if err != nil {
		return nil, err
	}
	e := &walEngine{log: log, live: make(map[uint64]uint64)}
	if err := e.replay(); err != nil {
		return nil, err
	}
	return &group{engine: e}, nil
}

func (e *walEngine) replay() error {
	last, err := e.log.LastIndex()
	if err != nil {
		return err
	}
	if e.first, err = e.log.FirstIndex(); err != nil {
		return err
	}
	e.first = max(e.first, 1)
	for e.next = e.first; e.next <= last; e.next++ {
		entry, err := e.log.Read(e.next)
		if err != nil {
			return err
		}
		e.apply(binary.BigEndian.Uint64(entry), len(entry) > 8)
	}
	return nil
}

func (e *walEngine) apply(key uint64, set bool) {
	if set {
		e.live[key] = e.next
	} else {
		delete(e.live, key)
	}
}

func (e *walEngine) Commit(ops []op) error {
	batch := new(wal.Batch)
	for _, o := range ops {
		batch.Write(e.next, append(o.name(), o.value...))
		e.apply(o.key, o.value != nil)
		e.next++
	}
	if err := e.log.WriteBatch(batch); err != nil {
		return err
	}
	// What is behind the oldest live record is dropped, now and then: that rewrites a
	// segment of 20 MiB.
	if e.next-e.first < 50_000 || len(e.live) > 25_000 {
		return nil
	}
	oldest := e.next - 1
	for _, at := range e.live {
		oldest = min(oldest, at)
	}
	e.first = oldest
	return e.log.TruncateFront(oldest)
}

func (e *walEngine) Count() (n int, err error) { return len(e.live), nil }

func (e *walEngine) Close() error { return e.log.Close() }
