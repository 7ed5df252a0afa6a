// Package storetest tests whether a type is a Store as package store defines it.
// The test of an implementation calls Run:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t,
//			func(t *testing.T) store.Store { return open(t, t.TempDir()) },
//			func(t *testing.T, s store.Store) store.Store { return open(t, s.(*Mine).dir) })
//	}
package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/seed65a45251/mqtt/store"
)

// Run tests an implementation of Store. open returns a new, empty Store for each
// subtest. reopen returns another Store that must have the contents of closed, which
// was closed; if nil, the contents end with Close. Run closes the Stores. Run it with
// the race detector, too.
func Run(t *testing.T, open func(t *testing.T) store.Store, reopen func(t *testing.T, closed store.Store) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"an empty store has no records", testEmpty},
		{"records come in the order of their keys", testOrder},
		{"a prefix chooses records", testPrefix},
		{"the last operation on a key wins", testLastWins},
		{"absent keys can be deleted", testDeleteAbsent},
		{"values may be empty", testEmptyValues},
		{"a commit without operations does nothing", testNoOps},
		{"keys have bounds", testKeyBounds},
		{"a refused commit changes nothing", testRefused},
		{"large values", testLargeValues},
		{"many records", testMany},
		{"commits keep nothing of the caller's", testAliasing},
		{"a loop can be left", testBreak},
		{"a scan can be used again", testScanAgain},
		{"a scan shows the beginning of its loop", testSnapshot},
		{"commits are visible when they return", testVisible},
		{"commits are whole for those who scan", testAtomic},
		{"commits of many are all there", testConcurrent},
		{"a closed store refuses everything", testClosed},
		{"close ends what runs beside it", testCloseBeside},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			defer closeStore(t, s)
			test.run(t, s)
		})
	}
	if reopen != nil {
		t.Run("what was committed is there again", func(t *testing.T) { testReopen(t, open(t), reopen) })
		t.Run("stores do not share records", func(t *testing.T) { testApart(t, open) })
	}
}

func set(key, value string) store.Op { return store.Op{Key: []byte(key), Value: []byte(value)} }

func del(key string) store.Op { return store.Op{Key: []byte(key), Delete: true} }

func commit(t *testing.T, s store.Store, ops ...store.Op) {
	t.Helper()
	if err := s.Commit(ops); err != nil {
		t.Fatalf("Commit of %d operations: %v", len(ops), err)
	}
}

func closeStore(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// scan returns the records with a prefix, as key=value.
func scan(t *testing.T, s store.Store, prefix string) []string {
	t.Helper()
	var found []string
	for r, err := range s.Scan([]byte(prefix)) {
		if err != nil {
			t.Fatalf("Scan(%q) after %d records: %v", prefix, len(found), err)
		}
		found = append(found, string(r.Key)+"="+string(r.Value))
	}
	return found
}

func want(t *testing.T, s store.Store, prefix string, records ...string) {
	t.Helper()
	if found := scan(t, s, prefix); !slices.Equal(found, records) {
		t.Errorf("Scan(%q) yields %.300q, want %.300q", prefix, found, records)
	}
}

// wantScanError fails unless Scan yields exactly one result, an error that matches.
func wantScanError(t *testing.T, s store.Store, matches func(error) bool) {
	t.Helper()
	n := 0
	for r, err := range s.Scan(nil) {
		n++
		if !matches(err) {
			t.Errorf("Scan yields %q, error %v", r.Key, err)
		}
	}
	if n != 1 {
		t.Errorf("Scan yields %d times, want one error", n)
	}
}

// pattern returns n bytes that differ for each i.
func pattern(i, n int) []byte {
	seed := fmt.Appendf(nil, "<%d>", i)
	return bytes.Repeat(seed, n/len(seed)+1)[:n]
}
