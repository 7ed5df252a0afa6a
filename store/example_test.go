package store_test

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/seed65a45251/mqtt/store"
)

func ExampleMemory() {
	s := store.Memory()
	defer s.Close()

	if err := s.Commit([]store.Op{
		{Key: []byte("session/b"), Value: []byte("1 message")},
		{Key: []byte("session/a"), Value: []byte("no message")},
		{Key: []byte("retained"), Value: []byte("18.5")},
	}); err != nil {
		fmt.Println(err)
		return
	}
	for r, err := range s.Scan([]byte("session/")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s\n", r.Key, r.Value)
	}
	// Output:
	// session/a: no message
	// session/b: 1 message
}

func ExampleMem_Commit() {
	s := store.Memory()
	defer s.Close()

	// All of it happens or none, in this order: the last word on a key counts.
	err := s.Commit([]store.Op{
		{Key: []byte("queued/1"), Value: []byte("hello")},
		{Key: []byte("queued/2"), Value: []byte("world")},
		{Key: []byte("queued/1"), Delete: true},
	})
	fmt.Println(err)
	for r, err := range s.Scan(nil) {
		fmt.Printf("%s: %s %v\n", r.Key, r.Value, err)
	}
	// Output:
	// <nil>
	// queued/2: world <nil>
}

func ExampleMem_Scan() {
	s := store.Memory()
	defer s.Close()

	for _, key := range []string{"c", "a", "b"} {
		if err := s.Commit([]store.Op{{Key: []byte(key)}}); err != nil {
			fmt.Println(err)
			return
		}
	}
	for r, err := range s.Scan(nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s ", r.Key)
		if string(r.Key) == "b" {
			break
		}
	}
	// Output:
	// a b
}

func ExampleMem_Close() {
	s := store.Memory()
	fmt.Println(s.Close(), s.Close())
	fmt.Println(errors.Is(s.Commit(nil), store.ErrClosed))
	// Output:
	// <nil> <nil>
	// true
}

func ExampleEncrypt() {
	s := store.Memory() // or a file of package bolt
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil { // a program reads it from where it keeps secrets
		fmt.Println(err)
		return
	}
	e, err := store.Encrypt(s, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Commit([]store.Op{{Key: []byte("queued/1"), Value: []byte("hello")}}))
	for r, err := range e.Scan(nil) {
		fmt.Printf("%s: %s %v\n", r.Key, r.Value, err)
	}
	_, err = store.Encrypt(s, make([]byte, 32))
	fmt.Println(errors.Is(err, store.ErrWrongKey))
	// Output:
	// <nil>
	// queued/1: hello <nil>
	// true
}

func ExampleCheck() {
	err := store.Check([]store.Op{{Key: []byte("fine")}, {Value: []byte("without a key")}})
	fmt.Println(err)
	fmt.Println(errors.Is(err, store.ErrKey))
	// Output:
	// store: operation 1: key is empty or too long (0 bytes)
	// true
}
