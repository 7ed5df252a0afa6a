package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/seed65a45251/mqtt/store"
)

// testSnapshot commits from another goroutine during a loop, which Scan allows. The
// loop does not wait for the Commit, because the Commit may have to wait for the
// loop.
func testSnapshot(t *testing.T, s store.Store) {
	var records []string
	for i := range 500 {
		key := fmt.Sprintf("%03d", i)
		commit(t, s, set(key, "old"))
		records = append(records, key+"=old")
	}
	var found []string
	var changing sync.WaitGroup
	for r, err := range s.Scan(nil) {
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			changing.Go(func() {
				for i := 499; i >= 0; i-- {
					key := fmt.Sprintf("%03d", i)
					if err := s.Commit([]store.Op{set(key+"/new", "new"), set(key, "new")}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		found = append(found, string(r.Key)+"="+string(r.Value))
	}
	changing.Wait()
	if fmt.Sprint(found) != fmt.Sprint(records) {
		t.Errorf("a loop saw what was committed after its beginning: %.300q", found)
	}
	if n := len(scan(t, s, "")); n != 1000 {
		t.Errorf("%d records afterwards, want 1000", n)
	}
}

func testVisible(t *testing.T, s store.Store) {
	var running sync.WaitGroup
	for g := range 4 {
		running.Go(func() {
			prefix := fmt.Sprintf("%d/", g)
			for i := range 25 {
				if err := s.Commit([]store.Op{set(fmt.Sprintf("%s%02d", prefix, i), "v")}); err != nil {
					t.Error(err)
				}
				n := 0
				for range s.Scan([]byte(prefix)) {
					n++
				}
				if n != i+1 {
					t.Errorf("%d records visible after %d Commits", n, i+1)
				}
			}
		})
	}
	running.Wait()
}

func testAtomic(t *testing.T, s store.Store) {
	const parts = 20
	ops := func(round int) (ops []store.Op) {
		for i := range parts {
			ops = append(ops, set(fmt.Sprintf("part/%02d", i), fmt.Sprint(round)))
		}
		return ops
	}
	commit(t, s, ops(0)...)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for g := range 2 {
		writing.Go(func() {
			for round := 1; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.Commit(ops(10*round + g)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 50 {
		values, n := map[string]bool{}, 0
		for r, err := range s.Scan([]byte("part/")) {
			if err != nil {
				t.Error(err)
				break
			}
			values[string(r.Value)] = true
			n++
		}
		if n != parts || len(values) != 1 {
			t.Errorf("a Scan saw %d records of %d Commits, want %d of one", n, len(values), parts)
		}
	}
	close(stop)
	writing.Wait()
}

func testConcurrent(t *testing.T, s store.Store) {
	const goroutines, commits = 16, 20
	var running sync.WaitGroup
	for g := range goroutines {
		running.Go(func() {
			for i := range commits {
				ops := []store.Op{set(fmt.Sprintf("%02d/%02d", g, i), fmt.Sprint(g*i)), set(fmt.Sprintf("last/%02d", g), fmt.Sprint(i))}
				if i > 0 {
					ops = append(ops, del(fmt.Sprintf("%02d/%02d", g, i-1)))
				}
				if err := s.Commit(ops); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	var records []string
	for g := range goroutines {
		records = append(records, fmt.Sprintf("%02d/%02d=%d", g, commits-1, g*(commits-1)))
	}
	for g := range goroutines {
		records = append(records, fmt.Sprintf("last/%02d=%d", g, commits-1))
	}
	want(t, s, "", records...)
}

func testClosed(t *testing.T, s store.Store) {
	commit(t, s, set("a", "1"))
	records := s.Scan(nil)
	closeStore(t, s)
	closeStore(t, s)
	for _, ops := range [][]store.Op{{set("b", "2")}, {del("a")}, nil} {
		if err := s.Commit(ops); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Commit of %d operations after Close: %v, want ErrClosed", len(ops), err)
		}
	}
	isClosed := func(err error) bool { return errors.Is(err, store.ErrClosed) }
	wantScanError(t, s, isClosed)
	for _, err := range records {
		if !isClosed(err) {
			t.Errorf("a Scan from before Close: %v, want ErrClosed", err)
		}
	}
}

// testCloseBeside calls Close while other goroutines use the Store: each call either
// succeeds as a whole or fails with ErrClosed.
func testCloseBeside(t *testing.T, s store.Store) {
	var running sync.WaitGroup
	var started sync.WaitGroup
	for g := range 8 {
		started.Add(1)
		running.Go(func() {
			var err error
			for i := 0; err == nil; i++ {
				if err = s.Commit([]store.Op{set(fmt.Sprintf("%d/%d", g, i), "v")}); err == nil {
					for _, err = range s.Scan(fmt.Appendf(nil, "%d/", g)) {
					}
				}
				if i == 0 {
					started.Done()
				}
			}
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("beside Close: %v, want ErrClosed", err)
			}
		})
	}
	started.Wait()
	for range 2 {
		running.Go(func() { closeStore(t, s) })
	}
	running.Wait()
}
