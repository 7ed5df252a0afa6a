package storetest

import (
	"fmt"
	"testing"

	"github.com/seed65a45251/mqtt/store"
)

func testReopen(t *testing.T, s store.Store, reopen func(*testing.T, store.Store) store.Store) {
	var records []string
	again := func() {
		t.Helper()
		closeStore(t, s)
		s = reopen(t, s)
		want(t, s, "", records...)
	}
	defer func() { closeStore(t, s) }()
	again()
	for i := range 5 {
		key, value := fmt.Sprintf("%d", i), string(pattern(i, 10_000*i))
		commit(t, s, set(key, value), set("passing", "v"))
		commit(t, s, del("passing"))
		records = append(records, key+"="+value)
		again()
	}
	commit(t, s, del("0"), del("2"), set("4", ""))
	records = []string{records[1], records[3], "4="}
	again()
}

func testApart(t *testing.T, open func(*testing.T) store.Store) {
	a, b := open(t), open(t)
	defer closeStore(t, a)
	defer closeStore(t, b)
	commit(t, a, set("a", "1"))
	commit(t, b, set("b", "2"))
	want(t, a, "", "a=1")
	want(t, b, "", "b=2")
}
