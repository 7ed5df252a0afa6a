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

func TestLayers(t *testing.T) {
	loaded, err := load(".", "./testdata/circle")
	if err != nil {
		t.Fatal(err)
	}
	h := measure(loaded[0])
	page := "| file | what it holds |\n|---|---|\n| **Top** | |\n| `leaf.go` | a leaf |\n| **Middle** | |\n| `first.go`, `second.go` | two |\n" +
		"| `third.go`, `left.go`, `right.go` | three |\n| **Bottom** | |\n| `user.go` | the user |\n"
	if faults := h.outOfOrder(layersOf(page)); len(faults) > 0 {
		t.Errorf("in order, but: %v", faults)
	}
	page = "| **Top** | |\n| `user.go` | the user |\n| **Bottom** | |\n| `first.go`, `second.go`, `third.go`, `left.go`, `right.go` | all |\n"
	want := []string{"leaf.go has no layer", "user.go names what first.go declares, in a lower layer: begin"}
	if faults := h.outOfOrder(layersOf(page)); !slices.Equal(faults, want) {
		t.Errorf("faults %v, want %v", faults, want)
	}
}
