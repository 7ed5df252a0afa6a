package main

import (
	"path/filepath"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

type boltEngine struct{ *bolt.File }

func openBolt(dir string) (engine, error) {
	f, err := bolt.Open(filepath.Join(dir, "store"), bolt.Config{})
	return boltEngine{f}, err
}

func (e boltEngine) Commit(ops []op) error {
	var changes []store.Op
	for _, o := range ops {
		changes = append(changes, store.Op{Key: o.name(), Value: o.value, Delete: o.value == nil})
	}
	return e.File.Commit(changes)
}

func (e boltEngine) Count() (n int, err error) {
	for _, err := range e.Scan(nil) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
