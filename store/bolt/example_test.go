package bolt_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")

	// One process has the file at a time.
	s, err := bolt.Open(path, bolt.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = bolt.Open(path, bolt.Config{LockTimeout: -1})
	fmt.Println(errors.Is(err, bolt.ErrLocked))

	if err := s.Commit([]store.Op{{Key: []byte("greeting"), Value: []byte("hello")}}); err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Close(); err != nil {
		fmt.Println(err)
		return
	}

	s, err = bolt.Open(path, bolt.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for r, err := range s.Scan(nil) {
		fmt.Printf("%s: %s %v\n", r.Key, r.Value, err)
	}
	// Output:
	// true
	// greeting: hello <nil>
}

func ExampleOpen_salvage() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")
	s, err := bolt.Open(path, bolt.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Close())
	fmt.Println(os.Truncate(path, 4096)) // something goes wrong

	_, err = bolt.Open(path, bolt.Config{})
	fmt.Println(err != nil)
	s, err = bolt.Open(path, bolt.Config{Salvage: func(aside string, damage error) {
		fmt.Println(filepath.Base(aside), errors.Is(damage, bolt.ErrDamaged))
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Close())
	// Output:
	// <nil>
	// <nil>
	// true
	// state.db.damaged1 true
	// <nil>
}

// openTemporary opens a store for an example.
func openTemporary() (s *bolt.File, remove func()) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	s, err = bolt.Open(filepath.Join(dir, "state.db"), bolt.Config{})
	if err != nil {
		panic(err)
	}
	return s, func() {
		_ = s.Close()
		_ = os.RemoveAll(dir)
	}
}

func ExampleFile_Commit() {
	s, remove := openTemporary()
	defer remove()

	// When it returns, the move of the message has survived every crash, as a whole.
	err := s.Commit([]store.Op{
		{Key: []byte("queued/7"), Delete: true},
		{Key: []byte("sent/1"), Value: []byte("message 7")},
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleFile_Scan() {
	s, remove := openTemporary()
	defer remove()

	err := s.Commit([]store.Op{
		{Key: []byte("queued/2"), Value: []byte("second")},
		{Key: []byte("queued/1"), Value: []byte("first")},
		{Key: []byte("sent/1"), Value: []byte("other")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for r, err := range s.Scan([]byte("queued/")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s\n", r.Key, r.Value)
	}
	// Output:
	// queued/1: first
	// queued/2: second
}

func ExampleFile_Close() {
	s, remove := openTemporary()
	defer remove()

	fmt.Println(s.Close())
	fmt.Println(s.Commit(nil))
	// Output:
	// <nil>
	// store: closed
}

func ExampleFile_Path() {
	s, remove := openTemporary()
	defer remove()

	fmt.Println(filepath.Base(s.Path()))
	// Output: state.db
}
