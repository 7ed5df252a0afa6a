// Package sorted keeps elements in the order of their keys. Adding and removing one costs
// about the same however many there are, and a loop can stop anywhere and find its place
// again by the key.
package sorted

import (
	"iter"
	"slices"
)

// Element has a key.
type Element interface {
	// Compare compares the key of the element with key, as cmp.Compare does.
	Compare(key string) int
}

// List has one element for each key. It is a list of blocks, so that a change moves few
// elements. The zero value is empty.
type List[E Element] struct {
	blocks [][]E // each in order, none empty, at most blockLength long
	len    int
}

// blockLength bounds how many elements a new one has to move.
const blockLength = 256

// Place is where an element is, or would be. It is valid until the next change.
type Place struct{ block, index int }

// Len returns how many elements there are.
func (l *List[E]) Len() int { return l.len }

// Find returns the place of the first element whose key is key or follows it, and whether
// it is key.
func (l *List[E]) Find(key string) (at Place, found bool) {
	at.block, _ = slices.BinarySearchFunc(l.blocks, key, func(b []E, key string) int { return b[len(b)-1].Compare(key) })
	if at.block == len(l.blocks) {
		return at, false
	}
	at.index, found = slices.BinarySearchFunc(l.blocks[at.block], key, E.Compare)
	return at, found
}

// At returns the element at a place. ok is false behind the last one.
func (l *List[E]) At(p Place) (e E, ok bool) {
	if p.block >= len(l.blocks) {
		return e, false
	}
	return l.blocks[p.block][p.index], true
}

// Next returns the place behind that of an element.
func (l *List[E]) Next(p Place) Place {
	if p.index++; p.index == len(l.blocks[p.block]) {
		return Place{block: p.block + 1}
	}
	return p
}

// Get returns the element of key.
func (l *List[E]) Get(key string) (e E, found bool) {
	at, found := l.Find(key)
	if !found {
		return e, false
	}
	return l.At(at)
}

// From yields the elements from the first whose key is key or follows it.
func (l *List[E]) From(key string) iter.Seq[E] {
	return func(yield func(E) bool) {
		for at, _ := l.Find(key); ; at = l.Next(at) {
			if e, ok := l.At(at); !ok || !yield(e) {
				return
			}
		}
	}
}

// Set makes e the element of key, which is its own.
func (l *List[E]) Set(key string, e E) {
	at, found := l.Find(key)
	if found {
		l.blocks[at.block][at.index] = e
		return
	}
	l.len++
	if at.block == len(l.blocks) {
		if at.block == 0 {
			l.blocks = [][]E{{e}}
			return
		}
		at.block-- // at the end of the last one
		at.index = len(l.blocks[at.block])
	}
	block := slices.Insert(l.blocks[at.block], at.index, e)
	l.blocks[at.block] = block
	if n := len(block); n > blockLength {
		middle := n / 2
		if at.index == n-1 { // keys that come in order fill their blocks
			middle = n - 1
		}
		l.blocks[at.block] = slices.Clone(block[:middle])
		l.blocks = slices.Insert(l.blocks, at.block+1, slices.Clone(block[middle:]))
	}
}

// Remove removes the element of key, if there is one.
func (l *List[E]) Remove(key string) {
	at, found := l.Find(key)
	if !found {
		return
	}
	l.len--
	block := slices.Delete(l.blocks[at.block], at.index, at.index+1)
	l.blocks[at.block] = block
	if i := at.block; i > 0 && len(block)+len(l.blocks[i-1]) <= blockLength/2 {
		l.blocks[i-1] = append(l.blocks[i-1], block...)
		block = nil
	}
	if len(block) == 0 {
		l.blocks = slices.Delete(l.blocks, at.block, at.block+1)
	}
}
