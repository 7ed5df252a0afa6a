package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

// countingStore counts the Commits of a Store.
type countingStore struct {
	store.Store
	syncs
	fsyncs uint64 // of each Commit
}

// openStore opens a store/bolt in a directory. It syncs twice for each Commit, and once
// more for every 4 MiB of growth, which is not counted.
func openStore(dir string, config bolt.Config) (store.Store, *syncs, error) {
	f, err := bolt.Open(filepath.Join(dir, "store"), config)
	if err != nil {
		return nil, nil, err
	}
	s := &countingStore{Store: f, fsyncs: 2}
	if config.NoSync {
		s.fsyncs = 0
	}
	return s, &s.syncs, nil
}

func (s *countingStore) Commit(ops []store.Op) error {
	start := time.Now()
	err := s.Store.Commit(ops)
	if err == nil {
		s.syncs.done(start, 1, s.fsyncs)
	}
	return err
}

// storedConfig is that of a client that does not connect before ready is closed.
func storedConfig(j *job, ready chan struct{}, s store.Store) mqtt.Config {
	return mqtt.Config{
		ClientID: j.clientID, Store: s, Inflight: window,
		QueueMessages: j.stored + 1, QueueBytes: (j.stored + 1) * 4096,
		ConnectTimeout: time.Hour,
		Attempt: func(ctx context.Context, _ *mqtt.Attempt) error {
			select {
			case <-ready:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}
