package main

import (
	"slices"
	"testing"
)

func TestCircle(t *testing.T) {
	loaded, err := load(".", "./testdata/circle")
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded) != 1 {
		t.Fatalf("%d packages, want 1", len(loaded))
	}
	h := measure(loaded[0])

	want := []string{"first.go", "leaf.go", "left.go", "right.go", "second.go", "third.go", "user.go"}
	if !slices.Equal(h.files, want) {
		t.Errorf("files %v, want %v", h.files, want)
	}
	if got, want := h.largestCircle(), []string{"first.go", "second.go", "third.go"}; !slices.Equal(got, want) {
		t.Errorf("largest circle %v, want %v", got, want)
	}
	// A function, a field, a constant; a local constant of the same name as one of
	// leaf.go is not a reference to it.
	for _, edge := range []struct {
		from, to string
		names    []string
	}{
		{"first.go", "second.go", []string{"advance", "state", "count"}},
		{"second.go", "third.go", []string{"third", "count"}},
		{"third.go", "first.go", []string{"start"}},
		{"first.go", "leaf.go", []string{"leaf"}},
		{"third.go", "leaf.go", nil},
		{"user.go", "first.go", []string{"begin"}},
		{"first.go", "user.go", nil},
	} {
		if got := h.knows[edge.from][edge.to]; !slices.Equal(got, edge.names) {
			t.Errorf("%s names %v of %s, want %v", edge.from, got, edge.to, edge.names)
		}
	}
	if got := h.longestFunction(); got != 4 {
		t.Errorf("longest function %d lines, want 4", got)
	}
}
