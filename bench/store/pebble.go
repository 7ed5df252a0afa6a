package main

import (
	"log"

	"github.com/cockroachdb/pebble"
)

type pebbleEngine struct{ db *pebble.DB }

func openPebble(dir string) (engine, error) {
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}})
	return pebbleEngine{db}, err
}

// Commit needs no group: pebble has its own.
func (e pebbleEngine) Commit(ops []op) error {
	batch := e.db.NewBatch()
	defer batch.Close()
	for _, o := range ops {
		var err error
		if o.value == nil {
			err = batch.Delete(o.name(), nil)
		} else {
			err = batch.Set(o.name(), o.value, nil)
		}
		if err != nil {
			return err
		}
	}
	return batch.Commit(pebble.Sync)
}

func (e pebbleEngine) Count() (n int, err error) {
	all, err := e.db.NewIter(nil)
	if err != nil {
		return 0, err
	}
	for all.First(); all.Valid(); all.Next() {
		n += len(all.Value()) / 300
	}
	return n, all.Close()
}

func (e pebbleEngine) Close() error { return e.db.Close() }

type quiet struct{}

func (quiet) Infof(string, ...any)                {}
func (quiet) Errorf(string, ...any)               {}
func (quiet) Fatalf(format string, values ...any) { log.Fatalf(format, values...) }
