package storetest_test

import (
	"testing"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/storetest"
)

// A program that has written a Store of its own has this in one of its tests.
func ExampleRun() {
	_ = func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Store { return store.Memory() }, nil)
	}
}
