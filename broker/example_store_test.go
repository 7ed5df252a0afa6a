package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
	"github.com/seed65a45251/mqtt/wire"
)

// A broker with a file goes on where the one before has ended, however it did.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for range 2 {
		file, err := bolt.Open(filepath.Join(dir, "state"), bolt.Config{})
		if err != nil {
			log.Fatal(err)
		}
		b, err := broker.Open(broker.Config{Store: file})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("retained messages:", b.Stats().Retained)
		if err := b.Publish(&wire.Publish{Topic: "lamp", Payload: []byte("on"), QoS: wire.AtLeastOnce, Retain: true}); err != nil {
			log.Fatal(err)
		}
		if err := b.Shutdown(context.Background()); err != nil {
			log.Fatal(err)
		}
		if err := file.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// retained messages: 0
	// retained messages: 1
}

// A record that the broker does not know is named, and nothing is changed.
func ExampleRecordError() {
	s := store.Memory()
	if err := s.Commit([]store.Op{{Key: []byte("Bc"), Value: []byte{99}}}); err != nil {
		log.Fatal(err)
	}
	_, err := broker.Open(broker.Config{Store: s})
	if record, ok := errors.AsType[*broker.RecordError](err); ok {
		fmt.Printf("%q: %v\n", record.Key, record.Err)
	}
	// Output: "Bc": unknown format 99
}
