package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed65a45251/mqtt/store"
)

func testEmpty(t *testing.T, s store.Store) {
	want(t, s, "")
	want(t, s, "a")
}

func testOrder(t *testing.T, s store.Store) {
	// Keys are ordered by bytes, not letters, and a prefix comes first.
	keys := []string{"\xff\xff", "b", "\x00", "a\x00", "é", "a", "A", "\xff", "aa", "\x00\x00", "a\xff"}
	for _, key := range keys {
		commit(t, s, set(key, "v"))
	}
	slices.Sort(keys)
	for i := range keys {
		keys[i] += "=v"
	}
	want(t, s, "", keys...)
}

func testPrefix(t *testing.T, s store.Store) {
	commit(t, s, set("a", "1"), set("a/", "2"), set("a/b", "3"), set("a0", "4"), set("\xff", "5"), set("\xff\xff\x01", "6"))
	want(t, s, "a", "a=1", "a/=2", "a/b=3", "a0=4")
	want(t, s, "a/", "a/=2", "a/b=3")
	want(t, s, "a/b", "a/b=3")
	want(t, s, "a/b/")
	want(t, s, "0")
	want(t, s, "b")
	// Every key above one of these prefixes begins with it, so none is the first behind them.
	want(t, s, "\xff", "\xff=5", "\xff\xff\x01=6")
	want(t, s, "\xff\xff", "\xff\xff\x01=6")
	want(t, s, "\xff\xff\xff")
	want(t, s, strings.Repeat("a", 2*store.MaxKey))
}

func testLastWins(t *testing.T, s store.Store) {
	commit(t, s, set("kept", "old"), set("gone", "old"))
	commit(t, s, set("kept", "1"), del("kept"), set("kept", "2"), set("gone", "1"), del("gone"), set("new", "1"), set("new", "2"))
	want(t, s, "", "kept=2", "new=2")
}

func testDeleteAbsent(t *testing.T, s store.Store) {
	commit(t, s, del("never"))
	commit(t, s, set("a", "1"), del("b"), store.Op{Key: []byte("c"), Value: []byte("ignored"), Delete: true})
	want(t, s, "", "a=1")
}

func testEmptyValues(t *testing.T, s store.Store) {
	commit(t, s, store.Op{Key: []byte("nil")}, store.Op{Key: []byte("empty"), Value: []byte{}}, set("shrunk", "long"))
	commit(t, s, set("shrunk", ""))
	want(t, s, "", "empty=", "nil=", "shrunk=")
}

func testNoOps(t *testing.T, s store.Store) {
	commit(t, s)
	commit(t, s, set("a", "1"))
	commit(t, s)
	want(t, s, "", "a=1")
}

func testKeyBounds(t *testing.T, s store.Store) {
	longest := strings.Repeat("k", store.MaxKey)
	commit(t, s, set(longest, "long"), set("k", "short"))
	want(t, s, "", "k=short", longest+"=long")
	for _, key := range []string{"", longest + "k", strings.Repeat("k", 1<<16)} {
		for _, op := range []store.Op{set(key, "v"), del(key)} {
			if err := s.Commit([]store.Op{op}); !errors.Is(err, store.ErrKey) {
				t.Errorf("Commit of a key of %d bytes: %v, want ErrKey", len(key), err)
			}
		}
	}
	want(t, s, "", "k=short", longest+"=long")
}

func testRefused(t *testing.T, s store.Store) {
	commit(t, s, set("a", "1"), set("b", "1"))
	if err := s.Commit([]store.Op{set("a", "2"), del("b"), set("c", "2"), set("", "bad"), set("d", "2")}); err == nil {
		t.Error("Commit accepts an empty key")
	}
	want(t, s, "", "a=1", "b=1")
	commit(t, s, set("a", "3"))
	want(t, s, "", "a=3", "b=1")
}

func testLargeValues(t *testing.T, s store.Store) {
	sizes := []int{1 << 10, 4095, 4096, 4097, 1 << 16, 1<<20 + 1, 16 << 20}
	for i, size := range sizes {
		commit(t, s, store.Op{Key: []byte{byte(i)}, Value: pattern(i, size)})
	}
	i := 0
	for r, err := range s.Scan(nil) {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		if !bytes.Equal(r.Key, []byte{byte(i)}) || !bytes.Equal(r.Value, pattern(i, sizes[i])) {
			t.Errorf("value of %d bytes came back under key %x with %d bytes or others", sizes[i], r.Key, len(r.Value))
		}
		i++
	}
	if i != len(sizes) {
		t.Errorf("%d values came back, want %d", i, len(sizes))
	}
}

func testMany(t *testing.T, s store.Store) {
	const n = 5000
	var ops []store.Op
	var records []string
	for i := range n {
		key := fmt.Sprintf("%04d", i)
		ops = append(ops, set(key, string(pattern(i, i%300))))
		if i%5 == 4 {
			records = append(records, key+"="+string(pattern(i, i%300)))
		}
	}
	commit(t, s, ops...)
	if found := scan(t, s, ""); len(found) != n {
		t.Errorf("%d records, want %d", len(found), n)
	}
	ops = ops[:0]
	for i := range n {
		if i%5 != 4 {
			ops = append(ops, del(fmt.Sprintf("%04d", i)))
		}
	}
	commit(t, s, ops...)
	want(t, s, "", records...)
}

func testAliasing(t *testing.T, s store.Store) {
	key, value := []byte("key"), []byte("value")
	ops := []store.Op{{Key: key, Value: value}}
	commit(t, s, ops...)
	copy(key, "xxx")
	copy(value, "xxxxx")
	ops[0] = del("key")
	want(t, s, "", "key=value")

	prefix := []byte("k")
	records := s.Scan(prefix)
	for r, err := range records {
		prefix[0] = 'x' // it belongs to the caller once the loop runs
		if err != nil || string(r.Key) != "key" {
			t.Errorf("Scan yields %q, error %v", r.Key, err)
		}
	}
}

func testBreak(t *testing.T, s store.Store) {
	commit(t, s, set("a", "1"), set("b", "2"), set("c", "3"))
	for range 3 {
		for r, err := range s.Scan(nil) {
			if err != nil || string(r.Key) != "a" {
				t.Errorf("Scan yields %q, error %v", r.Key, err)
			}
			break
		}
	}
	// A loop that was left does not delay the Commit.
	commit(t, s, set("a", "4"))
	want(t, s, "", "a=4", "b=2", "c=3")
}

func testScanAgain(t *testing.T, s store.Store) {
	records := s.Scan(nil)
	for range 2 {
		n := 0
		for _, err := range records {
			if n++; err != nil {
				t.Error(err)
			}
		}
		if found := len(scan(t, s, "")); n != found {
			t.Errorf("the sequence yields %d records, a new Scan %d", n, found)
		}
		commit(t, s, set("a", "1"))
	}
}
